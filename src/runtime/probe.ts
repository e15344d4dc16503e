import * as v from 'valibot'
import { CniError, ErrorCode } from '../cni/error'
import { isJsonObject } from '../cni/schema'
import { currentVersion } from '../cni/version'
import type { NetworkConfigList } from './conf-list'
import { findPlugin, type PluginPath } from './plugin-path'
import { type CniVariables, execInherited, type RuntimeOptions } from './run-plugin'

/** A plugin's description of itself. */
type PluginInfo = PluginPath & {
  /** The versions of the specification it speaks, as it lists them. */
  readonly versions: readonly string[]
}

/** Variables that plugins built against old skeletons need even at VERSION, with libcni's values. */
const dummies: CniVariables = {
  CNI_COMMAND: 'VERSION',
  CNI_CONTAINERID: '',
  CNI_NETNS: 'dummy',
  CNI_IFNAME: 'dummy',
  CNI_ARGS: '',
  CNI_PATH: 'dummy',
}

const answerSchema = () =>
  v.object({
    cniVersion: v.pipe(v.string(), v.nonEmpty()),
    supportedVersions: v.optional(v.array(v.string()), []),
  })

const parseVersions = (stdout: string): readonly string[] => {
  let value: unknown
  try {
    value = JSON.parse(stdout)
  } catch {
    // Reported below with everything else that is no answer.
  }
  const answer = v.safeParse(answerSchema(), value)
  if (answer.success) {
    const { cniVersion, supportedVersions } = answer.output
    if (supportedVersions.length > 0) return supportedVersions
    // The version that brought VERSION did not list the versions yet.
    if (cniVersion === '0.2.0') return ['0.1.0', '0.2.0']
  }
  const said = isJsonObject(value) ? 'missing field cniVersion or supportedVersions' : JSON.stringify(stdout)
  throw new CniError(ErrorCode.decodingFailure, said)
}

/** Asks a plugin for VERSION. Throws what it answers instead, or code 6 if its answer is no version list. */
export const probePlugin = async (plugin: PluginPath, options: RuntimeOptions): Promise<PluginInfo> => {
  const stdin = JSON.stringify({ cniVersion: currentVersion })
  try {
    const stdout = await execInherited({ path: plugin.path, variables: dummies, stdin }, options)
    return { ...plugin, versions: parseVersions(stdout) }
  } catch (cause) {
    const { code, message, details } = CniError.from(cause)
    // It is older than VERSION.
    if (message === 'unknown CNI_COMMAND: VERSION') return { ...plugin, versions: ['0.1.0'] }
    throw new CniError(code, `VERSION of ${plugin.path}: ${message}`, { details, cause })
  }
}

/** Asks every plugin of a network for VERSION, each type once. Throws all that fails, joined. */
export const probePlugins = async (
  list: NetworkConfigList,
  options: RuntimeOptions,
): Promise<PluginInfo[]> => {
  const types = [...new Set(list.plugins.map(plugin => plugin.type))]
  const answers = await Promise.allSettled(
    types.map(async name => probePlugin({ name, path: findPlugin(name, options.binDirs) }, options)),
  )
  const failures = answers.filter(answer => answer.status === 'rejected').map(answer => answer.reason)
  if (failures.length > 0) throw CniError.join(failures)
  return answers.filter(answer => answer.status === 'fulfilled').map(answer => answer.value)
}

/**
 * Checks that every plugin of a network is there and speaks its version, as libcni's ValidateNetworkList does, and
 * answers the capabilities that the plugins declare, each once. Throws all that is wrong, joined.
 */
export const validateNetworkList = async (
  list: NetworkConfigList,
  options: RuntimeOptions,
): Promise<string[]> => {
  const wrong = (await probePlugins(list, options)).filter(
    ({ versions }) => !versions.includes(list.cniVersion),
  )
  if (wrong.length > 0) {
    throw CniError.join(
      wrong.map(({ name, versions }) => {
        const text = `plugin ${name} does not support config version "${list.cniVersion}"`
        return new CniError(ErrorCode.incompatibleVersion, text, {
          details: `it speaks ${versions.join(', ')}`,
        })
      }),
    )
  }
  return [...new Set(list.plugins.flatMap(plugin => plugin.capabilities))]
}
