/**
 * The nftables state of kubenet: one table whose chains stay as they are at any number of pods, and sets and maps
 * whose elements carry their owner in their comments. For a network "pods" on bridge cbr0:
 *
 *   table inet kubenet {
 *     set pods4-pods { type ipv4_addr }                        pods to masquerade
 *     set exempt4-pods { type ipv4_addr; flags interval }      where to they are not
 *     map hostports4 { type inet_proto . inet_service : ipv4_addr . inet_service }
 *     map hostips4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }
 *     chain prerouting {
 *       type nat hook prerouting priority dstnat; policy accept;
 *       fib daddr type local jump from_pods
 *       fib daddr type local jump hostports
 *     }
 *     chain from_pods { iifname "cbr0" meta mark set meta mark | 0x00002000 comment "pods" }
 *     chain output {
 *       type nat hook output priority dstnat; policy accept;
 *       ip saddr 127.0.0.0/8 fib daddr type local meta mark set meta mark | 0x00002000
 *       fib daddr type local jump hostports
 *     }
 *     chain hostports {
 *       dnat ip to ip daddr . meta l4proto . th dport map @hostips4
 *       dnat ip to meta l4proto . th dport map @hostports4       and both for IPv6
 *     }
 *     chain postrouting {
 *       type nat hook postrouting priority srcnat; policy accept;
 *       meta mark & 0x00002000 == 0x00002000 ct status dnat masquerade
 *       ip daddr 224.0.0.0/4 return
 *       ip6 daddr ff00::/8 return
 *       jump to_outside
 *     }
 *     chain to_outside { ip saddr @pods4-pods ip daddr != @exempt4-pods masquerade comment "pods" }
 *     chain martians {                 keeps neighbours from 127.0.0.0/8, which route_localnet opens to them
 *       type filter hook prerouting priority raw; policy accept;
 *       iifname != "lo" ip daddr 127.0.0.0/8 drop
 *     }
 *   }
 *
 * The mark is for who would else get an answer from an address it did not ask: pods and the host's own 127.0.0.0/8.
 */
import { everyAddress, formatClaim } from '../../../attachment/host-ports'
import { elementComment, nameInNft } from '../../../attachment/nft-comments'
import { type Family, formatAddr, parseAddr } from '../../../ip/addr'
import { literalCidr } from '../../../ip/cidr'
import { type NftRule, rule } from '../../nft/rule'
import {
  and,
  daddr,
  iifname,
  ip6Daddr,
  ipDaddr,
  ipSaddr,
  metaL4proto,
  metaMark,
  saddr,
  thDport,
} from '../../nft/selector'
import type { NftElement, NftSet } from '../../nft/set'
import {
  ctStatus,
  dnatToMap,
  eq,
  fibDaddrType,
  inSet,
  jump,
  type Key,
  masquerade,
  notInSet,
  returnToCaller,
  setMarkBits,
} from '../../nft/statement'
import type { NftType } from '../../nft/value'
import type { NftChain } from '../../nft/wire/table'
import { mappingsOf, protocols } from '../hostports/hostports'
import { martians } from '../localnet'
import { masquerades, type Placed, type PlainSet, type Pod, type PodNetwork } from './pods'

export const table = { family: 'inet', name: 'kubenet' } as const
export const tableComment = 'kubenet-cni; rebuild with: kubenet sync'

// <linux/netfilter_ipv4.h>: NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC.
const dstnat = -100
const srcnat = 100

// The bit portmap uses by default: Kubernetes has 14 and 15.
const markBits = 0x2000

const families: readonly Family[] = [4, 6]

const addrType = (family: Family): NftType => (family === 4 ? 'ipv4_addr' : 'ipv6_addr')

/** The addresses of a network's pods that are masqueraded. */
export const podsSet = (network: string, family: Family): PlainSet => ({
  name: `pods${family}-${nameInNft(network)}`,
  key: [addrType(family)],
})

/** Where a network's pods go under their own addresses. */
export const exemptSet = (network: string, family: Family): NftSet => ({
  name: `exempt${family}-${nameInNft(network)}`,
  key: [addrType(family)],
  interval: true,
})

/** Ports that are open on every address of the host. */
export const hostportsMap = (family: Family): PlainSet => ({
  name: `hostports${family}`,
  key: ['inet_proto', 'inet_service'],
  data: [addrType(family), 'inet_service'],
})

/** Ports that are open on one address of the host. */
export const hostipsMap = (family: Family): PlainSet => ({
  name: `hostips${family}`,
  key: [addrType(family), 'inet_proto', 'inet_service'],
  data: [addrType(family), 'inet_service'],
})

/** A chain and the rules that are always in it. */
type FixedChain = { readonly chain: NftChain; readonly rules: readonly NftRule[] }

const dnatRule = (family: Family): NftRule[] => {
  const any: Key = [metaL4proto, thDport]
  return [
    rule([dnatToMap([daddr(family), ...any], hostipsMap(family))]),
    rule([dnatToMap(any, hostportsMap(family))]),
  ]
}

/** The chains no network changes, in an order in which each jump finds its target. */
export const fixedChains = (): FixedChain[] => [
  { chain: { name: 'hostports' }, rules: families.flatMap(dnatRule) },
  {
    chain: { name: 'prerouting', type: 'nat', hook: 'prerouting', priority: dstnat },
    rules: [
      rule([fibDaddrType('local'), jump('from_pods')]),
      rule([fibDaddrType('local'), jump('hostports')]),
    ],
  },
  {
    chain: { name: 'output', type: 'nat', hook: 'output', priority: dstnat },
    rules: [
      rule([eq(ipSaddr, literalCidr('127.0.0.0/8')), fibDaddrType('local'), setMarkBits(markBits)]),
      rule([fibDaddrType('local'), jump('hostports')]),
    ],
  },
  {
    chain: { name: 'postrouting', type: 'nat', hook: 'postrouting', priority: srcnat },
    rules: [
      rule([eq(and(metaMark, markBits), markBits), ctStatus('dnat'), masquerade()]),
      rule([eq(ipDaddr, literalCidr('224.0.0.0/4')), returnToCaller()]),
      rule([eq(ip6Daddr, literalCidr('ff00::/8')), returnToCaller()]),
      rule([jump('to_outside')]),
    ],
  },
  martians(),
]

/** The chains to which each network adds rules, with its name as their comment. */
export const networkChains: readonly NftChain[] = [{ name: 'from_pods' }, { name: 'to_outside' }]

/** A network's rules and the chains they go to; `comment` says whose they are. */
export const networkRules = (
  comment: string,
  { network: name, bridge }: Pick<PodNetwork, 'network' | 'bridge'>,
): { chain: string; rule: NftRule }[] => [
  { chain: 'from_pods', rule: rule([eq(iifname, bridge), setMarkBits(markBits)], { comment }) },
  ...families.map(family => ({
    chain: 'to_outside',
    rule: rule(
      [
        inSet([saddr(family)], podsSet(name, family)),
        notInSet([daddr(family)], exemptSet(name, family)),
        masquerade(),
      ],
      { comment },
    ),
  })),
]

/** The elements that have a pod's addresses masqueraded; none for a family that is exempt as a whole. */
export const podElements = ({ net, addresses }: Pick<Pod, 'net' | 'addresses'>, comment: string): Placed[] =>
  addresses
    .filter(({ family }) => masquerades(net, family))
    .map(addr => ({ set: podsSet(net.network, addr.family), element: { key: [addr], comment } }))

/** The elements that lead the host's ports to the pod. */
export const portElements = (conf: Pod['ports'], comment: string): Placed[] => {
  const placed: Placed[] = []
  for (const { addr } of conf.addresses) {
    for (const { protocol, hostPort, containerPort, hostIP } of mappingsOf(conf, addr.family)) {
      const where = hostIP ? formatAddr(hostIP) : everyAddress(addr.family)
      const claim = formatClaim(protocol, hostPort, where)
      const place = placeOfClaim(claim)
      if (place) {
        const { set, key } = place
        placed.push({ set, element: { key, data: [addr, containerPort], comment }, claim })
      }
    }
  }
  return placed
}

/** Everything of a pod that belongs into the ruleset. */
export const elementsOf = (pod: Pod): Placed[] => {
  const comment = elementComment(pod.id)
  return [...podElements(pod, comment), ...portElements(pod.ports, comment)]
}

/** The place of the element a claim of a port stands for: "tcp-8080/any4", "udp-53/192.0.2.1". */
export const placeOfClaim = (claim: string): { set: PlainSet; key: NftElement['key'] } | undefined => {
  const [port = '', where = ''] = claim.split('/')
  const [name = '', number = ''] = port.split('-')
  const protocol = protocols.find(known => known === name)
  const hostPort = Number(number)
  if (!protocol || !Number.isInteger(hostPort)) return undefined
  if (where === 'any4' || where === 'any6') {
    return { set: hostportsMap(where === 'any4' ? 4 : 6), key: [protocol, hostPort] }
  }
  const hostIP = parseAddr(where)
  return hostIP && { set: hostipsMap(hostIP.family), key: [hostIP, protocol, hostPort] }
}

/** The element in words, for messages: its set and its key. */
export const formatPlaced = ({ set, element }: Placed): string =>
  `${element.key.map(part => (typeof part === 'object' && 'family' in part ? formatAddr(part) : String(part))).join(' . ')} in ${set.name}`
