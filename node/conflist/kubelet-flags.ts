/** kubelet's network flags, up to 1.23, with its defaults. */

import { checkIfName } from '../../src/cni/args'
import { validName } from '../../src/cni/conf'
import { CniError } from '../../src/cni/error'
import { type SpecVersion, specVersions } from '../../src/cni/version'
import { type Family, widthOf } from '../../src/ip/addr'
import {
  type Cidr,
  cidrOverlaps,
  everywhere,
  formatCidr,
  isNetwork,
  networkOf,
  parseCidr,
} from '../../src/ip/cidr'
import { usageError } from '../command/failure'
import { choice, flag, list, value, withDefault } from '../command/option'

const hairpinModes = ['promiscuous-bridge', 'hairpin-veth', 'none'] as const

const backends = ['auto', 'nftables', 'iptables'] as const
const callLogLevels = ['error', 'info', 'debug'] as const
const hostListenerActions = ['warn', 'refuse', 'ignore'] as const

type HairpinMode = (typeof hairpinModes)[number]

/** Reads a network: an address with a prefix length, no host bits. */
export const parseNetwork = (given: string): Cidr => {
  const cidr = parseCidr(given)
  const shown = JSON.stringify(given)
  if (!cidr) {
    const hint = given.includes('/') ? '' : ': it needs a prefix length, as in 10.244.1.0/24'
    throw usageError(`${shown} is not a network${hint}`)
  }
  if (!isNetwork(cidr))
    throw usageError(`${shown} has host bits set; its network is ${formatCidr(networkOf(cidr))}`)
  return cidr
}

/** The fewest host bits that leave addresses for pods beside network, gateway and broadcast: as host-local has it. */
const leastHostBits = 2

/** Has a range addresses for pods? */
export const hasRoomForPods = ({ addr, prefix }: Cidr): boolean =>
  widthOf(addr.family) - prefix >= leastHostBits

/** How many pods a range has addresses for: not the network's, the gateway's and the last one, as host-local has it. */
export const addressesFor = ({ addr, prefix }: Cidr): bigint => {
  const addresses = (1n << BigInt(widthOf(addr.family) - prefix)) - 3n
  return addresses > 0n ? addresses : 0n
}

const parsePodCidr = (given: string): Cidr => {
  const cidr = parseNetwork(given)
  if (hasRoomForPods(cidr)) return cidr
  throw usageError(
    `${JSON.stringify(given)} has no room for pods: the longest prefix is /${widthOf(cidr.addr.family) - leastHostBits}`,
  )
}

/** Throws unless there is one network, or one of each family. */
const checkPodCidrs = (cidrs: readonly Cidr[]): void => {
  for (const family of [4, 6] as const) {
    const same = cidrs.filter(({ addr }) => addr.family === family)
    if (same.length > 1) {
      throw usageError(
        `--pod-cidr: ${same.map(formatCidr).join(' and ')} are both IPv${family}; dual stack is one of each`,
      )
    }
  }
}

const maxMtu = 65_535
const leastMtu = { 4: 68, 6: 1280 } as const

/** An MTU in bytes; 0: of all of the node's interfaces the smallest, "auto": of those its default routes lead over. */
type PodMtu = number | 'auto'

const parseMtu = (given: string): PodMtu => {
  if (given === 'auto') return given
  const mtu = Number(given)
  if (/^\d+$/.test(given) && (mtu === 0 || (mtu >= leastMtu[4] && mtu <= maxMtu))) return mtu
  throw usageError(
    `${JSON.stringify(given)} is not an MTU: 0 for the node's own, "auto", or ${leastMtu[4]} to ${maxMtu}`,
  )
}

/** Throws if pods with IPv6 would get an MTU that IPv6 does not work with. */
export const checkMtu = (mtu: PodMtu, cidrs: readonly Cidr[]): void => {
  if (mtu === 'auto' || mtu === 0 || mtu >= leastMtu[6] || !cidrs.some(({ addr }) => addr.family === 6))
    return
  throw usageError(`--network-plugin-mtu: ${mtu} is too small for IPv6, which needs ${leastMtu[6]}`)
}

const mostOverhead = 1500

const parseOverhead = (given: string): number => {
  const bytes = Number(given)
  if (/^\d+$/.test(given) && bytes <= mostOverhead) return bytes
  throw usageError(`${JSON.stringify(given)} is no number of bytes from 0 to ${mostOverhead}`)
}

const parseLogFile = (given: string): string => {
  if (given.startsWith('/')) return given
  throw usageError(`${JSON.stringify(given)} is no absolute path: plugins run in any folder`)
}

const parseNetworkName = (given: string): string => {
  if (validName.test(given)) return given
  throw usageError(
    `${JSON.stringify(given)} is no network name: letters, digits, "_", "." and "-", the first a letter or digit`,
  )
}

const parseBridge = (given: string): string => {
  try {
    if (given === '') throw new CniError(0, 'interface name is empty', { details: '' })
    checkIfName(given)
    return given
  } catch (error) {
    const { message, details } = CniError.from(error)
    throw usageError([message, details].filter(Boolean).join(': '))
  }
}

const versions = specVersions.filter(version => version >= '0.3.0')

/** The flags that say what kubenet's network is like. */
export const networkOptions = {
  podCidr: list('cidr', "the node's pod ranges, at most one of each family", parsePodCidr),
  nonMasqueradeCidr: list(
    'cidr',
    "networks that see the pods' own addresses; a family without any is not masqueraded (default: " +
      '10.0.0.0/8,fc00::/7)',
    parseNetwork,
  ),
  networkPluginMtu: withDefault(
    value(
      'mtu',
      "MTU of pods and bridge; 0: the smallest of the node's interfaces; auto: of those its default routes use",
      parseMtu,
    ),
    '0',
  ),
  mtuOverhead: value('bytes', 'bytes that a tunnel needs, subtracted from an automatic MTU', parseOverhead),
  backend: choice('backend', 'packet filter of the rules (default: auto)', backends),
  hostListeners: choice(
    'action',
    'if a program of the host listens on a host port (default: warn)',
    hostListenerActions,
  ),
  logFile: value('file', "log of the plugins' calls", parseLogFile, { completes: 'file' }),
  logLevel: choice(
    'level',
    'with --log-file: error for failed calls only, debug for the steps too (default: info)',
    callLogLevels,
  ),
  hairpinMode: withDefault(
    choice('mode', 'how a pod reaches itself by a service', hairpinModes),
    'promiscuous-bridge',
  ),
  name: withDefault(value('name', 'name of the network', parseNetworkName), 'kubenet'),
  bridge: value('name', 'name of the bridge (default: cbr0)', parseBridge),
  cniVersion: choice<SpecVersion>(
    'version',
    'version of the CNI specification (default: 1.1.0 with containerd 2.0, CRI-O 1.31 and newer, else 1.0.0)',
    versions,
  ),
  reference: flag('use the plugins bridge, portmap and bandwidth, ours or the reference plugins'),
}

/** The values of the flags. */
export type NetworkValues = {
  readonly podCidr: readonly Cidr[]
  readonly nonMasqueradeCidr: readonly Cidr[]
  readonly networkPluginMtu: PodMtu
  readonly mtuOverhead: number | undefined
  readonly backend: (typeof backends)[number] | undefined
  readonly hostListeners: (typeof hostListenerActions)[number] | undefined
  readonly logFile: string | undefined
  /** What is in the log file; "warn", which the agent's own log knows, is "error" there. */
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug' | undefined
  readonly hairpinMode: HairpinMode
  readonly name: string
  readonly bridge: string | undefined
  readonly cniVersion: SpecVersion
  readonly reference: boolean
}

const must = (text: string): Cidr => {
  const cidr = parseCidr(text)
  if (!cidr) throw new Error(`${text} is no network`)
  return cidr
}

/** kubelet's --non-masquerade-cidr, and what corresponds to it in IPv6, which kubelet never masqueraded. */
const defaultExempt: Record<Family, Cidr> = { 4: must('10.0.0.0/8'), 6: must('fc00::/7') }

const isEverywhere = ({ prefix }: Cidr): boolean => prefix === 0

/**
 * The networks that see pods by their own addresses: those given, or the defaults. As with kubelet, whose flag made a
 * rule for one family, a family that none was given of is not masqueraded: 0.0.0.0/0 turns it off for both.
 */
export const exemptNetworks = (given: readonly Cidr[], podCidrs: readonly Cidr[]): Cidr[] => {
  const families = new Set(podCidrs.map(({ addr }) => addr.family))
  const missing = [...families].filter(family => !given.some(({ addr }) => addr.family === family))
  return [...given, ...missing.map(family => (given.length > 0 ? everywhere(family) : defaultExempt[family]))]
}

/** Is anything of the pods masqueraded at all? */
export const isMasqueraded = (exempt: readonly Cidr[], podCidrs: readonly Cidr[]): boolean =>
  podCidrs.some(
    ({ addr }) => !exempt.some(cidr => isEverywhere(cidr) && cidrOverlaps(cidr, { addr, prefix: 0 })),
  )

/** Throws a usage error for flags that are right each by itself and wrong together, or if the range is missing. */
export const checkNetworkValues = ({
  podCidr,
  networkPluginMtu,
}: Pick<NetworkValues, 'podCidr' | 'networkPluginMtu'>): void => {
  if (podCidr.length === 0) {
    throw usageError(
      "--pod-cidr is missing: the range of this node's pods",
      'in a cluster: kubectl get node NAME -o jsonpath={.spec.podCIDRs}',
    )
  }
  checkPodCidrs(podCidr)
  checkMtu(networkPluginMtu, podCidr)
}
