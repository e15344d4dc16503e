/** Asks the executables of the plugin folders what they are. */
import { platform } from '#platform'
import { CniError } from '../../src/cni/error'
import type { PluginExec } from '../../src/cni/exec-plugin'
import { isSpecVersion, specVersions } from '../../src/cni/version'
import type { PluginPath } from '../../src/runtime/plugin-path'
import { probePlugin } from '../../src/runtime/probe'
import type { RuntimeOptions } from '../../src/runtime/run-plugin'
import { flavourOf } from '../frame/program-file'

/**
 * The origin of a plugin: ours with its runtime inside or for Node.js, the reference's, another project's, or no plugin
 * at all.
 */
export type PluginKind = 'standalone' | 'node' | 'reference' | 'other' | 'none'

export type ProbedPlugin = PluginPath & {
  readonly kind: PluginKind
  /** Its own version, as it reports it; empty if it does not. */
  readonly version: string
  /** The versions of the CNI specification it speaks, as it lists them. */
  readonly cniVersions: readonly string[]
  /** Why it gave no list; empty if it did. */
  readonly failure: string
}

/** The plugins of github.com/containernetworking/plugins. */
const referenceNames = new Set(
  (
    'bandwidth bridge dhcp dummy firewall host-device host-local ipvlan loopback macvlan portmap ptp sbr static tap ' +
    'tuning vlan vrf'
  ).split(' '),
)

/** "CNI bridge plugin v1.6.2", and ours with the project's name behind it. */
const aboutForm = /^CNI (\S+) plugin (.*?)( \(kubenet-cni\))?$/m

/** The origin of a plugin, by its output when it is called without a command. */
export const kindOf = ({ name, path }: PluginPath, about: string): Pick<ProbedPlugin, 'kind' | 'version'> => {
  const [, , version = '', ours] = aboutForm.exec(about) ?? []
  if (ours) return { kind: flavourOf(path) ?? 'other', version }
  return { kind: version && referenceNames.has(name) ? 'reference' : 'other', version }
}

const withoutCni = (env: RuntimeOptions['env']): Record<string, string> => {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && !name.startsWith('CNI_')) kept[name] = value
  return kept
}

/** More than any answer has; what prints without end is cut off there. */
const outputBytes = 1024 * 1024

/** Runs programs that may be anything: each is killed, with all it started, when it has not ended after `ms`. */
export const limitedExec =
  (ms: number): PluginExec =>
  (path, env, stdin) =>
    platform.run([path], { env, stdin, limit: { ms, outputBytes } })

/** Probes one executable. Never throws: what it does instead of answering is the answer's failure. */
export const probe = async (
  plugin: PluginPath,
  { options, exec }: { options: RuntimeOptions; exec: PluginExec },
): Promise<ProbedPlugin> => {
  try {
    const { versions } = await probePlugin(plugin, { ...options, exec })
    // It is a plugin, so it may be called without a command too: that does nothing.
    const { stderr } = await exec(plugin.path, withoutCni(options.env), '')
    return { ...plugin, ...kindOf(plugin, stderr), cniVersions: versions, failure: '' }
  } catch (error) {
    const { message } = CniError.from(error)
    const failure = message.replace(`VERSION of ${plugin.path}: `, '')
    return { ...plugin, kind: 'none', version: '', cniVersions: [], failure }
  }
}

/** As many at a time as do not make a small node slow. */
const atOnce = 4

/** Does `work` for each entry, some at a time; the answers have the order of the entries. */
export const mapSome = async <T, U>(entries: readonly T[], work: (entry: T) => Promise<U>): Promise<U[]> => {
  const answers: U[] = []
  const queue = entries.entries()
  const worker = async () => {
    for (const [index, entry] of queue) answers[index] = await work(entry)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, entries.length) }, worker))
  return answers
}

/** Versions as a range where none of those known is left out between them: "0.1.0-1.0.0". */
export const formatVersions = (versions: readonly string[]): string => {
  const known = versions.filter(isSpecVersion)
  const [first] = specVersions.filter(version => known.includes(version))
  const last = specVersions.findLast(version => known.includes(version))
  if (!first || !last || known.length !== versions.length || first === last) return versions.join(' ')
  const between = specVersions.slice(specVersions.indexOf(first), specVersions.indexOf(last) + 1)
  return between.every(version => known.includes(version)) ? `${first}-${last}` : versions.join(' ')
}
