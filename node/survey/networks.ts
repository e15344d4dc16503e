/** The node's networks as their plugins understand them: what a survey compares the node with. */
import { readBandwidthConf } from '../../plugins/bandwidth/config'
import { readBridgeConf } from '../../plugins/bridge/config'
import { type HostLocalConf, readHostLocalConf } from '../../plugins/host-local/config'
import { type KubenetConf, readKubenetConf } from '../../plugins/kubenet/config'
import { bridgeConf, callOf } from '../../plugins/kubenet/parts'
import { readPortmapConf } from '../../plugins/portmap/config'
import type { CniEnv } from '../../src/cni/args'
import { parseNetConf } from '../../src/cni/conf'
import { CniError } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { JsonObject } from '../../src/cni/schema'
import { isFrom } from '../../src/host/system-error'
import type { Family } from '../../src/ip/addr'
import { type Backend, chooseBackend, defaultBackend } from '../../src/netfilter/backend'
import { masquerades } from '../../src/netfilter/rules/pods/pods'
import { readConfDir } from '../../src/runtime/conf-dir'
import type { NetworkConfigList } from '../../src/runtime/conf-list'

/** The program that masquerades a network's pods: kubenet's own ruleset, or bridge by one of its ways. */
type MasqueradeBy = 'kubenet' | Backend

/** A network, as far as the node has it. */
export type Network = {
  readonly name: string
  /** Undefined for one of which only leases are left. */
  readonly file: string | undefined
  /** Is it the one that containers get when none is named? */
  readonly isDefault: boolean
  readonly types: readonly string[]
  /** Undefined for a network without a bridge of ours. */
  readonly bridge: string | undefined
  /** The VLAN of its bridge in which containers and gateway are; 0: none. */
  readonly vlan: number
  /** As configured; undefined: the smallest of the host's interfaces. */
  readonly mtu: number | undefined
  readonly isGateway: boolean
  readonly hairpin: boolean
  /** The families in which containers get a default route. */
  readonly defaultRoutes: readonly Family[]
  readonly ipam: HostLocalConf | undefined
  readonly masquerade: { readonly by: MasqueradeBy; readonly families: readonly Family[] } | undefined
  readonly kubenet: KubenetConf | undefined
  /** The network's own log of calls. */
  readonly logFile: string | undefined
  /** The problems for which its plugins would refuse it. */
  readonly problems: readonly string[]
}

/** A network that only its leases tell of. */
export const leftNetwork = (name: string): Network => ({
  name,
  file: undefined,
  isDefault: false,
  types: [],
  bridge: undefined,
  vlan: 0,
  mtu: undefined,
  isGateway: false,
  hairpin: false,
  defaultRoutes: [],
  ipam: undefined,
  masquerade: undefined,
  kubenet: undefined,
  logFile: undefined,
  problems: [],
})

const families: readonly Family[] = [4, 6]

/** For no attachment, as STATUS is. */
const env: CniEnv = {
  command: 'STATUS',
  containerID: '',
  netns: '',
  ifName: '',
  args: '',
  path: [],
  netnsOverride: false,
}

/** The call that a plugin of the list would get. */
const callFor = ({ name, cniVersion }: NetworkConfigList, own: JsonObject): Call => {
  const raw = { ...own, name, cniVersion }
  const call = { env, stdin: JSON.stringify(raw), raw, conf: parseNetConf(raw), version: cniVersion }
  return { ...call, netns: undefined, builtIns: new Map() }
}

/** The families of the default routes that host-local is to return. */
const defaultsOf = ({ routes }: HostLocalConf): Family[] =>
  routes.filter(({ dst }) => dst.prefix === 0).map(({ dst }) => dst.addr.family)

type Draft = { -readonly [K in keyof Network]: Network[K] }

const backendOf = (conf: KubenetConf): Backend => {
  try {
    return chooseBackend(conf.backend)
  } catch (error) {
    // A process without the right to ask the kernel has no use for the answer.
    if (isFrom(error, 'netlink')) return 'nftables'
    throw error
  }
}

const readKubenet = (call: Call, draft: Draft): void => {
  const conf = readKubenetConf(call)
  const backend = backendOf(conf)
  draft.kubenet = conf
  draft.bridge = conf.bridge
  draft.mtu = conf.mtu === 'auto' ? undefined : conf.mtu
  draft.isGateway = true
  draft.hairpin = conf.hairpinMode === 'hairpin-veth'
  draft.ipam = readHostLocalConf(callOf(call, bridgeConf(conf, { masquerade: false })))
  draft.defaultRoutes = defaultsOf(draft.ipam)
  const by = backend === 'nftables' ? 'kubenet' : 'iptables'
  draft.masquerade = { by, families: families.filter(family => masquerades(conf, family)) }
}

const readBridge = (call: Call, draft: Draft): void => {
  const conf = readBridgeConf(call)
  draft.bridge = conf.bridge
  draft.vlan = conf.vlan
  draft.mtu = conf.mtu
  draft.isGateway = conf.isGateway
  draft.hairpin = conf.hairpin
  if (conf.ipamType === 'host-local') draft.ipam = readHostLocalConf(call)
  if (draft.ipam) draft.defaultRoutes = conf.isDefaultGateway ? families : defaultsOf(draft.ipam)
  if (!conf.masquerade) return
  const { backend = defaultBackend() } = conf.masquerade
  draft.masquerade = { by: backend === 'nftables' ? 'nftables' : 'iptables', families }
}

/** The plugins whose configurations are understood, and what a network has from each. */
const readers: Record<string, (call: Call, draft: Draft) => void> = {
  kubenet: readKubenet,
  bridge: readBridge,
  portmap: call => void readPortmapConf(call),
  bandwidth: call => void readBandwidthConf(call),
}

const describeError = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join(': ')
}

/** Reads a network's configuration by its plugins' own rules; what they would refuse is among the problems. */
export const readNetwork = (list: NetworkConfigList, isDefault: boolean): Network => {
  const types = list.plugins.map(({ type }) => type)
  const problems: string[] = []
  const draft: Draft = { ...leftNetwork(list.name), file: list.file, isDefault, types }
  for (const { type, raw } of list.plugins) {
    try {
      const call = callFor(list, raw)
      draft.logFile ??= call.conf.logFile
      readers[type]?.(call, draft)
    } catch (error) {
      problems.push(`plugin "${type}": ${describeError(error)}`)
    }
  }
  return { ...draft, problems }
}

/** A file that is skipped, and why, with its name in front. */
export type BrokenFile = { readonly file: string; readonly why: string }

/** The networks of a node, and the files that are none. */
type NodeNetworks = {
  readonly lists: readonly NetworkConfigList[]
  readonly networks: readonly Network[]
  readonly broken: readonly BrokenFile[]
}

/** Reads the networks of a folder. A folder that is not there has none. */
export const readNetworks = (confDir: string): NodeNetworks => {
  const broken: BrokenFile[] = []
  const lists = readConfDir({
    confDir,
    onBroken: (failure, file) => broken.push({ file, why: describeError(failure) }),
  })
  return { lists, networks: lists.map((list, i) => readNetwork(list, i === 0)), broken }
}
