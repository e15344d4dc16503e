/** The node's networks, and the plugins that they need. */
import { accessSync, constants, statSync } from 'node:fs'
import { CliError, ExitCode, failureOf } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import type { Places } from '../../node/command/places'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { PluginExec } from '../../src/cni/exec-plugin'
import { missingCapabilities, networkCapabilities } from '../../src/cni/privilege'
import { findConfList, readConfDir } from '../../src/runtime/conf-dir'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { findPlugin } from '../../src/runtime/plugin-path'
import { type RuntimeOptions, startUnlessBusy } from '../../src/runtime/run-plugin'
import { withProgress } from './progress'

/** Says what a plugin is at, when it takes long. */
const patientExec =
  (io: CliIo): PluginExec =>
  (path, env, stdin) =>
    withProgress(io, `waiting for ${path} (${env.CNI_COMMAND})`, () => startUnlessBusy(path, env, stdin))

/** The places that the library of src/runtime works with. */
export const runtimeOptions = (
  { binDirs, cacheDir }: Places,
  io: CliIo,
  exec: PluginExec = patientExec(io),
): RuntimeOptions => ({ binDirs, cacheDir, env: io.env, exec })

/** Reports broken files on standard error. A file without read permission is not broken: it throws. */
const tellOfBroken =
  (io: CliIo) =>
  (failure: CniError): void => {
    const { exitCode } = failureOf(failure)
    if (exitCode === ExitCode.notPermitted) throw failure
    io.stderr(`kubenet: ${failure.message}; the file is skipped\n`)
  }

/** The networks of the node. */
export const networksOf = (places: Places, io: CliIo): NetworkConfigList[] => {
  if (!statSync(places.confDir, { throwIfNoEntry: false })) {
    throw new CliError(
      ExitCode.notFound,
      `there is no folder ${places.confDir}`,
      'name the folder of the networks with --cni-conf-dir, or make one with "kubenet config --write"',
    )
  }
  return readConfDir({ confDir: places.confDir, onBroken: tellOfBroken(io) })
}

/** The network of that name. */
export const networkNamed = (name: string, places: Places, io: CliIo): NetworkConfigList => {
  const networks = networksOf(places, io)
  // A second reading, which must not tell of the broken files again.
  if (networks.some(network => network.name === name))
    return findConfList({ confDir: places.confDir, onBroken: () => {} }, name)
  const names = networks.map(network => JSON.stringify(network.name))
  const hint = names.length > 0 ? `the networks there are ${names.join(', ')}` : 'there is no network at all'
  throw new CliError(ExitCode.notFound, `no network "${name}" in ${places.confDir}`, hint)
}

/** The types a network needs in the plugin folders: its plugins and those they ask for addresses. */
export const requiredTypes = ({ plugins }: NetworkConfigList): string[] => {
  const ipamTypes = plugins.flatMap(({ raw }) => {
    const ipam: unknown = raw.ipam
    const type = typeof ipam === 'object' && ipam !== null && 'type' in ipam ? ipam.type : undefined
    return typeof type === 'string' && type !== '' ? [type] : []
  })
  return [...new Set([...plugins.map(({ type }) => type), ...ipamTypes])]
}

const pathOf = (type: string, { binDirs }: Places): string | undefined => {
  try {
    return findPlugin(type, binDirs)
  } catch (error) {
    if (error instanceof CniError && error.code === ErrorCode.invalidNetworkConfig) return undefined
    throw error
  }
}

/** The types a network needs and the plugin folders have not. */
export const missingTypes = (network: NetworkConfigList, places: Places): string[] =>
  requiredTypes(network).filter(type => pathOf(type, places) === undefined)

/** The plugin files of a network that cannot be executed because of their mode or mount. */
export const unexecutable = (network: NetworkConfigList, places: Places): string[] =>
  requiredTypes(network).flatMap(type => {
    const path = pathOf(type, places)
    try {
      if (path) accessSync(path, constants.X_OK)
      return []
    } catch {
      return path ?? []
    }
  })

export const unexecutableRemedy = (path: string): string =>
  `chmod 755 ${path}; if that is not enough, its file system is mounted noexec`

/** Throws, before anything is done, if a plugin of the network is not there or cannot be executed. */
export const requirePlugins = (network: NetworkConfigList, places: Places): void => {
  const missing = missingTypes(network, places).map(type => `plugin "${type}"`)
  const [barred] = unexecutable(network, places)
  if (barred) {
    throw new CliError(ExitCode.failed, `"${barred}" is not executable`, unexecutableRemedy(barred))
  }
  if (missing.length === 0) return
  throw new CliError(
    ExitCode.notFound,
    `network "${network.name}" needs ${missing.join(' and ')}, not found in ${places.binDirs.join(':')}`,
    '"kubenet plugins" shows what is there, "kubenet install" puts ours in place',
  )
}

/** May this process see and change all networks of the host and of its containers? */
export const isPrivileged = (): boolean => missingCapabilities(networkCapabilities).length === 0

/** Throws, before anything is done, unless this process may change networks. */
export const requireNetworkAdmin = (): void => {
  if (isPrivileged()) return
  throw new CliError(
    ExitCode.notPermitted,
    'changing networks needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN',
    'run it as root',
  )
}

/** Why kubenet refuses new pods; empty if it does not. STATUS does not fail for it, so as to leave the node ready. */
export const noNewPods = ({ plugins }: NetworkConfigList): string => {
  const [reason] = plugins.flatMap(({ type, raw }) => (type === 'kubenet' ? [raw.noNewPods] : []))
  return typeof reason === 'string' ? reason : ''
}
