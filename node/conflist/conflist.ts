/** The network configurations that kubelet's flags meant. */

import { accessSync, constants, mkdirSync, rmdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { isJsonObject, type JsonObject } from '../../src/cni/schema'
import { readAdvice } from '../../src/host/plain-file'
import { formatCidr } from '../../src/ip/cidr'
import { readConfDir } from '../../src/runtime/conf-dir'
import { CliError, ExitCode } from '../command/failure'
import { exemptNetworks, isMasqueraded, type NetworkValues } from './kubelet-flags'
import { type Staged, stageText } from './staged-file'

const defaultBridge = 'cbr0'

const mtuKeys = ({ networkPluginMtu: mtu, mtuOverhead }: NetworkValues) => ({
  ...((mtu === 'auto' || mtu > 0) && { mtu }),
  ...(mtuOverhead !== undefined && { mtuOverhead }),
})

/** Where and how much the plugins log. */
const logKeys = ({ logFile, logLevel }: NetworkValues) => ({
  ...(logFile !== undefined && { logFile }),
  ...(logFile !== undefined &&
    logLevel !== undefined && { logLevel: logLevel === 'warn' ? ('error' as const) : logLevel }),
})

/** One plugin, kubenet, that does it all. */
const kubenetPlugin = (values: NetworkValues) => {
  const { podCidr, nonMasqueradeCidr, hairpinMode, bridge, backend, hostListeners } = values
  return {
    type: 'kubenet',
    podCIDRs: podCidr.map(formatCidr),
    nonMasqueradeCIDRs: exemptNetworks(nonMasqueradeCidr, podCidr).map(formatCidr),
    ...mtuKeys(values),
    hairpinMode,
    ...(bridge !== undefined && { bridge }),
    ...(backend !== undefined && { backend }),
    ...(hostListeners !== undefined && { hostListeners }),
    ...logKeys(values),
    capabilities: { portMappings: true, bandwidth: true },
  }
}

/** The reference bridge plugin with the keys that kubelet's kubenet gave it, and one key that only ours has. */
const bridgePlugin = (values: NetworkValues) => {
  const { podCidr, nonMasqueradeCidr, hairpinMode, bridge, backend } = values
  const exempt = exemptNetworks(nonMasqueradeCidr, podCidr)
  const ipMasq = isMasqueraded(exempt, podCidr)
  return {
    type: 'bridge',
    bridge: bridge ?? defaultBridge,
    ...mtuKeys(values),
    isGateway: true,
    ipMasq,
    ...(ipMasq && isBackend(backend) && { ipMasqBackend: backend }),
    ...(ipMasq && { nonMasqueradeCIDRs: exempt.map(formatCidr) }),
    ...(hairpinMode === 'hairpin-veth' && { hairpinMode: true }),
    ...(hairpinMode === 'promiscuous-bridge' && { promiscMode: true }),
    ipam: {
      type: 'host-local',
      ranges: podCidr.map(range => [{ subnet: formatCidr(range) }]),
      routes: podCidr.map(({ addr }) => ({ dst: addr.family === 4 ? '0.0.0.0/0' : '::/0' })),
    },
  }
}

/** A backend by its name; without one the reference's plugins choose by themselves. */
const isBackend = (backend: NetworkValues['backend']): backend is 'nftables' | 'iptables' =>
  backend !== undefined && backend !== 'auto'

/** A network configuration, as it stands in a .conflist. */
type Conflist = {
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly { readonly type: string }[]
}

/** The network that the flags mean: kubenet in one plugin, or as a chain of the reference's. */
export const conflistOf = (values: NetworkValues): Conflist => {
  const { cniVersion, name, reference, backend, hostListeners } = values
  if (!reference) return { cniVersion, name, plugins: [kubenetPlugin(values)] }
  return {
    cniVersion,
    name,
    plugins: [
      { ...bridgePlugin(values), ...logKeys(values) },
      {
        type: 'portmap',
        ...(isBackend(backend) && { backend }),
        ...(hostListeners !== undefined && { hostListeners }),
        ...logKeys(values),
        capabilities: { portMappings: true },
      },
      { type: 'bandwidth', ...logKeys(values), capabilities: { bandwidth: true } },
    ] as Conflist['plugins'],
  }
}

/**
 * The text of a network configuration with the key by which kubenet refuses new pods; undefined if there is no kubenet in
 * it. All else in it stays.
 */
export const withoutNewPods = (text: string, reason: string): string | undefined => {
  const list: unknown = JSON.parse(text)
  if (!isJsonObject(list) || !Array.isArray(list.plugins)) return undefined
  const plugins: readonly unknown[] = list.plugins
  if (!plugins.some(isKubenet)) return undefined
  const changed = plugins.map(plugin => (isKubenet(plugin) ? { ...plugin, noNewPods: reason } : plugin))
  return jsonText({ ...list, plugins: changed })
}

const isKubenet = (plugin: unknown): plugin is JsonObject => isJsonObject(plugin) && plugin.type === 'kubenet'

const jsonText = (value: object): string => `${JSON.stringify(value, null, 2)}\n`

/** The flags that a chain of the reference plugins does not support. */
export const referenceNotes = ({ reference, nonMasqueradeCidr, podCidr }: NetworkValues): string[] =>
  reference && isMasqueraded(exemptNetworks(nonMasqueradeCidr, podCidr), podCidr)
    ? [
        "the reference bridge plugin has no nonMasqueradeCIDRs: it masquerades all packets that leave the pod's range",
      ]
    : []

/** The text of a network configuration. */
export const formatConflist = (conflist: Conflist): string => jsonText(conflist)

/** Every user may read folders of programs and configurations. */
const folderMode = 0o755

const removeMade = (path: string, first: string): void => {
  for (let at = path; ; at = dirname(at)) {
    try {
      rmdirSync(at)
    } catch {
      return // another program has put something there since
    }
    if (at === first) return
  }
}

/**
 * Makes a folder and those above it unless it is there, or unless it may not: then it throws. Throws too if nothing
 * can be written into it. Answers how to remove what it made.
 */
export const ensureFolder = (path: string, { create }: { create: boolean }): (() => void) => {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found && !found.isDirectory()) throw new CliError(ExitCode.failed, `"${path}" is not a folder`)
  if (!found && !create) {
    throw new CliError(ExitCode.notFound, `there is no folder ${path}`, 'omit --no-create to create it')
  }
  const first = found ? undefined : mkdirSync(path, { recursive: true, mode: folderMode })
  accessSync(path, constants.W_OK | constants.X_OK)
  return () => {
    if (first) removeMade(path, first)
  }
}

/** The file of kubenet's network, early in the lexical order that makes the first one the default. */
export const conflistName = '10-kubenet.conflist'

type ConflistWriting = {
  readonly confDir: string
  readonly text: string
  /** May the folder be made? */
  readonly create: boolean
}

/** A conflist beside its place, to be put there. "unchanged" if it is there already. */
export type StagedConflist = { readonly path: string; readonly staged: Staged | 'unchanged' }

/** Writes the conflist beside its place, so that only a rename can still fail. */
export const stageConflist = ({ confDir, text, create }: ConflistWriting): StagedConflist => {
  const path = `${confDir}/${conflistName}`
  if (readAdvice(path) === text) return { path, staged: 'unchanged' }
  ensureFolder(confDir, { create })
  return { path, staged: stageText(path, text) }
}

const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

/** Other files in the folder that keep a network from being the default, or from being found by its name. */
export const confDirNotes = (confDir: string, name: string): string[] => {
  const notes: string[] = []
  const others = readConfDir({ confDir, onBroken: () => {} }).filter(
    ({ file }) => file !== `${confDir}/${conflistName}`,
  )
  const earlier = others.find(({ file }) => file < `${confDir}/${conflistName}`)
  if (earlier) {
    notes.push(
      `${earlier.file} comes first, so that "${earlier.name}" stays the default network, and makes the node ready by itself; remove it to use this one`,
    )
  }
  const [early] = others
  if (!earlier && early && !isThere(`${confDir}/${conflistName}`)) {
    notes.push(
      `${early.file} makes the node ready before ${conflistName} is there, and its pods get network "${early.name}"; ` +
        'remove it',
    )
  }
  const twin = others.find(other => other.name === name)
  if (twin) notes.push(`${twin.file} has a network "${name}" too; runtimes may take either`)
  return notes
}
