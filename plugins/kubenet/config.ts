import * as v from 'valibot'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, isRemoval } from '../../src/cni/plugin'
import { cidr, extension, integer, mac, parseBySchema } from '../../src/cni/schema'
import type { Family } from '../../src/ip/addr'
import { type Cidr, cidrContains, everywhere, formatCidr, isNetwork, literalCidr } from '../../src/ip/cidr'
import type { PodNetwork } from '../../src/netfilter/rules/pods/pods'

const defaultBridge = 'cbr0'

/** kubelet's --non-masquerade-cidr, and the counterpart in IPv6, which kubelet never had: the private addresses. */
const defaultNonMasquerade = ['10.0.0.0/8', 'fc00::/7']

const hairpinModes = ['promiscuous-bridge', 'hairpin-veth', 'none'] as const

const choices = ['auto', 'nftables', 'iptables'] as const

const cidrs = () => v.array(cidr)

/** The keys of kubenet beside the common ones. */
export const kubenetSchema = v.object({
  podCIDR: v.optional(v.pipe(cidr, v.description('The node’s pod range: "10.244.1.0/24"'))),
  podCIDRs: v.optional(v.pipe(cidrs(), v.description('The same for dual stack: at most one of each family'))),
  nonMasqueradeCIDR: extension(
    v.optional(
      v.pipe(
        cidr,
        v.description('Network to which nothing is masqueraded; 0.0.0.0/0 turns masquerading off'),
      ),
    ),
  ),
  nonMasqueradeCIDRs: extension(
    v.optional(v.pipe(cidrs(), v.description('The same for several; default 10.0.0.0/8, fc00::/7'))),
  ),
  mtu: extension(
    v.optional(
      v.pipe(
        v.union([
          v.pipe(v.number(), v.integer(), v.metadata({ minimum: 0, maximum: 65535 })),
          v.literal('auto'),
        ]),
        v.description(
          'MTU of pods and bridge; default: the smallest of the host’s interfaces that can carry pods’ traffic; ' +
            '"auto": of those that its default routes lead over',
        ),
      ),
    ),
  ),
  mtuOverhead: extension(
    v.optional(
      v.pipe(
        integer(0, 1500),
        v.description('Bytes of a packet that a tunnel needs; subtracted from an automatic MTU'),
      ),
    ),
  ),
  hairpinMode: extension(
    v.optional(
      v.pipe(
        v.picklist(hairpinModes),
        v.description('How a pod reaches itself by a service; default promiscuous-bridge'),
      ),
    ),
  ),
  bridge: extension(v.optional(v.pipe(v.string(), v.description('Name of the bridge; default cbr0')))),
  dataDir: extension(
    v.optional(v.pipe(v.string(), v.description('Folder of the leases; default /var/lib/cni/networks'))),
  ),
  backend: extension(
    v.optional(
      v.pipe(
        v.picklist(choices),
        v.description('Packet filter; default auto: nftables if the kernel has it, else iptables'),
      ),
    ),
  ),
  hostListeners: extension(
    v.optional(v.pipe(v.string(), v.description('As in portmap: "warn", the default, "refuse" or "ignore"'))),
  ),
  noNewPods: extension(
    v.optional(
      v.pipe(v.string(), v.description('Why ADD is refused; the agent sets it. DEL and CHECK go on')),
    ),
  ),
  runtimeConfig: v.optional(
    v.object({
      portMappings: v.optional(v.array(v.unknown())),
      bandwidth: v.optional(v.unknown()),
      ipRanges: v.optional(
        v.pipe(
          v.array(v.array(v.object({ subnet: cidr }))),
          v.description('Ranges for this container, in place of the node’s'),
        ),
      ),
      ips: v.optional(v.array(v.string())),
      mac: v.optional(mac),
    }),
  ),
  args: v.optional(v.unknown()),
})

/** The configuration of kubenet, checked and complete. */
export type KubenetConf = PodNetwork & {
  readonly podCIDRs: readonly Cidr[]
  /** Ranges the runtime wants for this container in place of the node's; none as a rule. */
  readonly runtimeRanges: readonly Cidr[]
  readonly mtu: number | 'auto' | undefined
  readonly mtuOverhead: number
  readonly hairpinMode: (typeof hairpinModes)[number]
  readonly dataDir: string | undefined
  readonly backend: (typeof choices)[number]
  /** Why no pod may get an address of the node's ranges any more; undefined if it may. */
  readonly noNewPods: string | undefined
}

const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, `kubenet: ${message}`)

const checkPodCIDRs = (list: readonly Cidr[]): readonly Cidr[] => {
  if (list.length === 0) throw invalid('needs "podCIDR" or "podCIDRs"')
  const bad = list.find(range => !isNetwork(range))
  if (bad) throw invalid(`"podCIDR": ${formatCidr(bad)} has host bits set`)
  for (const family of [4, 6] as const) {
    const several = list.filter(({ addr }) => addr.family === family)
    if (several.length > 1) throw invalid(`"podCIDRs" has more than one IPv${family} range`)
  }
  return list
}

/** The networks without those that lie inside another: an interval set takes no overlaps. */
const withoutNested = (networks: readonly Cidr[]): Cidr[] =>
  networks.filter(
    (network, i) =>
      !networks.some(
        (other, j) =>
          i !== j &&
          cidrContains(other, network.addr) &&
          (other.prefix < network.prefix || (other.prefix === network.prefix && j < i)),
      ),
  )

/**
 * Where pods are seen by their own addresses. A value of one family says nothing of the other, which then is not
 * masqueraded: kubelet's flag was one network, and it made a rule for that network's family only.
 */
const nonMasquerade = (given: readonly Cidr[], podCIDRs: readonly Cidr[]): readonly Cidr[] => {
  if (given.length === 0) return defaultNonMasquerade.map(literalCidr)
  const isGiven = (family: Family) => given.some(({ addr }) => addr.family === family)
  const others = podCIDRs.map(({ addr }) => addr.family).filter(family => !isGiven(family))
  return [...given, ...others.map(everywhere)]
}

/** Reads kubenet's configuration; throws code 7 on anything not right. */
export const readKubenetConf = (call: Call): KubenetConf => {
  const conf = parseBySchema(kubenetSchema, call.raw, 'kubenet', { forgiving: isRemoval(call) })
  const podCIDRs = checkPodCIDRs([...(conf.podCIDRs ?? []), ...(conf.podCIDR ? [conf.podCIDR] : [])])
  const given = [
    ...(conf.nonMasqueradeCIDRs ?? []),
    ...(conf.nonMasqueradeCIDR ? [conf.nonMasqueradeCIDR] : []),
  ]
  const notNetwork = isRemoval(call) ? undefined : given.find(network => !isNetwork(network))
  if (notNetwork) throw invalid(`"nonMasqueradeCIDR": ${formatCidr(notNetwork)} has host bits set`)
  return {
    network: call.conf.name,
    podCIDRs,
    runtimeRanges: (conf.runtimeConfig?.ipRanges ?? []).flat().map(({ subnet }) => subnet),
    nonMasquerade: withoutNested([...nonMasquerade(given, podCIDRs), ...podCIDRs]),
    mtu: conf.mtu || undefined,
    mtuOverhead: conf.mtuOverhead ?? 0,
    hairpinMode: conf.hairpinMode ?? 'promiscuous-bridge',
    bridge: conf.bridge ?? defaultBridge,
    dataDir: conf.dataDir,
    backend: conf.backend ?? 'auto',
    noNewPods: conf.noNewPods || undefined,
  }
}
