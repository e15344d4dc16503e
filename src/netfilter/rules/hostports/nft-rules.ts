/**
 * Port mappings with nftables, in the chains of the reference, in a table of each family:
 *
 *   table ip cni_hostport {
 *     chain hostports {
 *       ip saddr 10.1.2.0/24 tcp dport 8080 meta mark set meta mark | 0x00002000 comment "c1"
 *       tcp dport 8080 dnat to 10.1.2.3:80 comment "c1"
 *       ip daddr 192.0.2.1 tcp dport 8081 dnat to 10.1.2.3:81 comment "c1"
 *     }
 *     chain hostip_hostports { }                  used by older versions
 *     chain hostports_all { jump hostip_hostports; jump hostports }
 *     chain prerouting {
 *       type nat hook prerouting priority dstnat; policy accept;
 *       fib daddr type local jump hostports_all
 *     }
 *     chain output { the same, at hook output }
 *     chain masquerading {
 *       type nat hook postrouting priority srcnat; policy accept;
 *       ip saddr 10.1.2.3 ip daddr 10.1.2.3 masquerade comment "c1"
 *       ip saddr 127.0.0.0/8 ip daddr 10.1.2.3 masquerade comment "c1"
 *     }
 *   }
 *
 * The marks are ours alone: the reference masquerades only what the container sends to itself, and its neighbours on
 * the bridge get answers from an address they did not ask. So is the chain that keeps neighbours from 127.0.0.0/8,
 * which route_localnet opens to them, and a port of 127.0.0.1 alone leads out of:
 *
 *     chain masquerade_mark_13 {
 *       type nat hook postrouting priority srcnat; policy accept;
 *       meta mark & 0x00002000 == 0x00002000 masquerade
 *     }
 *     chain martians {
 *       type filter hook prerouting priority raw; policy accept;
 *       iifname != "lo" ip daddr 127.0.0.0/8 drop
 *     }
 */
import { portComment } from '../../../attachment/nft-comments'
import { type Family, formatAddr } from '../../../ip/addr'
import { type Cidr, formatCidr, networkOf } from '../../../ip/cidr'
import { type NftRule, rule } from '../../nft/rule'
import { and, daddr, dport, metaMark, saddr } from '../../nft/selector'
import {
  ctStatus,
  dnatTo,
  eq,
  fibDaddrType,
  jump,
  masquerade,
  type Statement,
  setMarkBits,
} from '../../nft/statement'
import type { NftChain, NftTable } from '../../nft/wire/table'
import { loopback, martians } from '../localnet'
import { type HostPorts, mappingsOf, type PortMapping } from './hostports'

export const tableComment = 'CNI portmap plugin'

export const tableOf = (family: Family): NftTable => ({
  family: family === 4 ? 'ip' : 'ip6',
  name: 'cni_hostport',
})

/** The chains that hold containers' rules: what DEL looks through. */
export const containerChains = ['hostports', 'hostip_hostports', 'masquerading'] as const

const hostportsAll = 'hostports_all'

// <linux/netfilter_ipv4.h>: NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC.
const dstnat = -100
const srcnat = 100

/** A chain all containers share, with its rules if they are the same for all. */
type SharedChain = { readonly chain: NftChain; readonly rules?: readonly NftRule[] }

const markOf = ({ markBit }: HostPorts): number => 2 ** markBit

/** The chains of a family's table, in an order in which each jump finds its target. */
export const sharedChains = (conf: HostPorts, family: Family): SharedChain[] => {
  const local = [rule([fibDaddrType('local'), jump(hostportsAll)])]
  const chains: SharedChain[] = [
    { chain: { name: 'hostports' } },
    { chain: { name: 'hostip_hostports' } },
    { chain: { name: hostportsAll }, rules: [rule([jump('hostip_hostports')]), rule([jump('hostports')])] },
    { chain: { name: 'prerouting', type: 'nat', hook: 'prerouting', priority: dstnat }, rules: local },
    { chain: { name: 'output', type: 'nat', hook: 'output', priority: dstnat }, rules: local },
  ]
  if (family === 4) chains.push(martians())
  if (!conf.snat) return chains
  const postrouting = { type: 'nat', hook: 'postrouting', priority: srcnat } as const
  const marked = rule([eq(and(metaMark, markOf(conf)), markOf(conf)), masquerade()])
  chains.push({ chain: { name: 'masquerading', ...postrouting } })
  chains.push({ chain: { name: `masquerade_mark_${conf.markBit}`, ...postrouting }, rules: [marked] })
  return chains
}

/** A rule of a container and the chain it goes to. */
type ContainerRule = { readonly chain: string; readonly rule: NftRule }

const matchOf = (mapping: PortMapping, family: Family): Statement[] => [
  ...(mapping.hostIP ? [eq(daddr(family), mapping.hostIP)] : []),
  eq(dport(mapping.protocol), mapping.hostPort),
]

/** Are the container's neighbours on the bridge masqueraded by a mark? */
const marksNeighbours = ({ snat, masqAll }: HostPorts): boolean => snat && !masqAll

/** The rule that leads to the container. */
export const dnatRule = (conf: HostPorts, { addr }: Cidr, mapping: PortMapping): ContainerRule => ({
  chain: 'hostports',
  rule: rule([...matchOf(mapping, addr.family), dnatTo(addr, mapping.containerPort)], {
    comment: portComment(conf.containerID),
  }),
})

const markRule = (conf: HostPorts, address: Cidr, mapping: PortMapping): ContainerRule => {
  const { family } = address.addr
  const neighbours = eq(saddr(family), networkOf(address))
  return {
    chain: 'hostports',
    rule: rule([neighbours, ...matchOf(mapping, family), setMarkBits(markOf(conf))], {
      comment: portComment(conf.containerID),
    }),
  }
}

/** The rules that lead to one address of the container, without conditions. */
export const portRules = (conf: HostPorts, address: Cidr): ContainerRule[] =>
  mappingsOf(conf, address.addr.family).flatMap(mapping => [
    ...(marksNeighbours(conf) ? [markRule(conf, address, mapping)] : []),
    dnatRule(conf, address, mapping),
  ])

/** One mapping's rule that leads to the container, as `nft list` shows it, without its comment. */
export const formatDnat = ({ addr }: Cidr, mapping: PortMapping): string => {
  const { protocol, hostPort, containerPort, hostIP } = mapping
  const on = hostIP ? `${tableOf(addr.family).family} daddr ${formatAddr(hostIP)} ` : ''
  const to = addr.family === 4 ? formatAddr(addr) : `[${formatAddr(addr)}]`
  return `${on}${protocol} dport ${hostPort} dnat to ${to}:${containerPort}`
}

/**
 * The rules of `portRules` with the conditions, as commands of the nft program, which alone can read those. They stand
 * in the container's own rules: in the chain that all networks share they would hold for all ports.
 */
export const conditionalLines = (conf: HostPorts, address: Cidr): string[] => {
  const { family } = address.addr
  const { family: nftFamily, name } = tableOf(family)
  const conditions = conf.conditions[family].join(' ')
  const add = (text: string): string =>
    `add rule ${nftFamily} ${name} hostports ${conditions} ${text} comment "${portComment(conf.containerID)}"`
  const from = `${nftFamily} saddr ${formatCidr(networkOf(address))}`
  return mappingsOf(conf, family).flatMap(mapping => {
    const dnat = formatDnat(address, mapping)
    const [match = ''] = dnat.split(' dnat ')
    const mark = `${from} ${match} meta mark set meta mark | 0x${markOf(conf).toString(16)}`
    return [...(marksNeighbours(conf) ? [add(mark)] : []), add(dnat)]
  })
}

/** The rules that masquerade what the container's address gets by its ports, where it must be. */
export const snatRules = (conf: HostPorts, { addr }: Cidr): ContainerRule[] => {
  if (!conf.snat) return []
  const { family } = addr
  const masqueraded = (...matches: Statement[]): ContainerRule => ({
    chain: 'masquerading',
    rule: rule([...matches, masquerade()], { comment: portComment(conf.containerID) }),
  })
  const to = eq(daddr(family), addr)
  // Not what is sent to the container itself: that is no port of the host.
  if (conf.masqAll) return [masqueraded(to, ctStatus('dnat'))]
  const hairpin = masqueraded(eq(saddr(family), addr), to)
  return family === 4 ? [hairpin, masqueraded(eq(saddr(family), loopback()), to)] : [hairpin]
}
