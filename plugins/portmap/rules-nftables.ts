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
 *       ip saddr 127.0.0.1 ip daddr 10.1.2.3 masquerade comment "c1"
 *     }
 *   }
 *
 * The marks are ours alone: the reference masquerades only what the container sends to itself, and its neighbours on
 * the bridge get answers from an address they did not ask. So is the chain that keeps neighbours from 127.0.0.0/8,
 * which route_localnet opens to them:
 *
 *     chain masquerade_mark_13 {
 *       type nat hook postrouting priority srcnat; policy accept;
 *       meta mark & 0x00002000 == 0x00002000 masquerade
 *     }
 *     chain localnet {
 *       type filter hook input priority filter - 1; policy accept;
 *       iifname "lo" accept
 *       ip daddr != 127.0.0.0/8 accept
 *       ct state established,related accept
 *       ct status dnat accept
 *       drop
 *     }
 */
import type { Family } from '../../src/ip/addr'
import { type Cidr, everywhere, networkOf, parseCidr } from '../../src/ip/cidr'
import { ctState, ctStatus, eq, fibDaddrType, neq, type Statement } from '../../src/netfilter/nft/match'
import { type NftRule, rule } from '../../src/netfilter/nft/rule'
import { and, daddr, dport, iifname, ipDaddr, metaMark, saddr } from '../../src/netfilter/nft/selector'
import { accept, dnatTo, drop, jump, masquerade, setMarkBits } from '../../src/netfilter/nft/statement'
import type { NftChain } from '../../src/netfilter/nft/wire/chain'
import type { NftTable } from '../../src/netfilter/nft/wire/table'
import { maxCommentBytes } from '../../src/netfilter/nft/wire/userdata'
import { mappingsOf, type PortMapping, type PortmapConf } from './config'

export const tableComment = 'CNI portmap plugin'

export const tableOf = (family: Family): NftTable => ({
  family: family === 4 ? 'ip' : 'ip6',
  name: 'cni_hostport',
})

/** The chains that hold containers' rules: what DEL looks through. */
export const containerChains = ['hostports', 'hostip_hostports', 'masquerading'] as const

const hostportsAll = 'hostports_all'

// <linux/netfilter_ipv4.h>: NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC, and one before NF_IP_PRI_FILTER.
const dstnat = -100
const srcnat = 100
const beforeFilter = -1

const loopback = (): Cidr => parseCidr('127.0.0.0/8') ?? everywhere(4)

/** The comment on a container's rules: its ID, which the reference looks for too. */
export const commentOf = (containerID: string): string => containerID.slice(0, maxCommentBytes)

/** A chain all containers share, with its rules if they are the same for all. */
export type SharedChain = { readonly chain: NftChain; readonly rules?: readonly NftRule[] }

const markOf = ({ markBit }: PortmapConf): number => 2 ** markBit

/** The chains of a family's table, in an order in which each jump finds its target. */
export const sharedChains = (conf: PortmapConf, family: Family): SharedChain[] => {
  const local = [rule([fibDaddrType('local'), jump(hostportsAll)])]
  const chains: SharedChain[] = [
    { chain: { name: 'hostports' } },
    { chain: { name: 'hostip_hostports' } },
    { chain: { name: hostportsAll }, rules: [rule([jump('hostip_hostports')]), rule([jump('hostports')])] },
    { chain: { name: 'prerouting', type: 'nat', hook: 'prerouting', priority: dstnat }, rules: local },
    { chain: { name: 'output', type: 'nat', hook: 'output', priority: dstnat }, rules: local },
  ]
  if (!conf.snat) return chains
  const postrouting = { type: 'nat', hook: 'postrouting', priority: srcnat } as const
  const marked = rule([eq(and(metaMark, markOf(conf)), markOf(conf)), masquerade()])
  chains.push({ chain: { name: 'masquerading', ...postrouting } })
  chains.push({ chain: { name: `masquerade_mark_${conf.markBit}`, ...postrouting }, rules: [marked] })
  if (family === 6) return chains
  const guards = [
    rule([eq(iifname, 'lo'), accept()]),
    rule([neq(ipDaddr, loopback()), accept()]),
    rule([ctState('established', 'related'), accept()]),
    rule([ctStatus('dnat'), accept()]),
    rule([drop()]),
  ]
  chains.push({
    chain: { name: 'localnet', type: 'filter', hook: 'input', priority: beforeFilter },
    rules: guards,
  })
  return chains
}

/** A rule of a container and the chain it goes to. */
export type ContainerRule = { readonly chain: string; readonly rule: NftRule }

const mappingRules = (conf: PortmapConf, address: Cidr, mapping: PortMapping): NftRule[] => {
  const { family } = address.addr
  const comment = commentOf(conf.containerID)
  const to: Statement[] = mapping.hostIP ? [eq(daddr(family), mapping.hostIP)] : []
  const port = eq(dport(mapping.protocol), mapping.hostPort)
  const dnat = rule([...to, port, dnatTo(address.addr, mapping.containerPort)], { comment })
  if (!conf.snat || conf.masqAll) return [dnat]
  const neighbours = eq(saddr(family), networkOf(address))
  return [rule([neighbours, ...to, port, setMarkBits(markOf(conf))], { comment }), dnat]
}

const masqueradeRules = (conf: PortmapConf, { addr }: Cidr): NftRule[] => {
  const { family } = addr
  const comment = commentOf(conf.containerID)
  const to = eq(daddr(family), addr)
  const from = (source: Statement[]): NftRule => rule([...source, to, masquerade()], { comment })
  if (conf.masqAll) return [from([])]
  const localhost = { family: 4, bits: 0x7f000001n } as const
  return [from([eq(saddr(family), addr)]), ...(family === 4 ? [from([eq(saddr(4), localhost)])] : [])]
}

/** The rules that lead to one address of the container, without conditions. */
export const dnatRules = (conf: PortmapConf, address: Cidr): ContainerRule[] =>
  mappingsOf(conf, address.addr.family)
    .flatMap(mapping => mappingRules(conf, address, mapping))
    .map(entry => ({ chain: 'hostports', rule: entry }))

/** The rules that masquerade what the container's address gets by its ports, where it must be. */
export const snatRules = (conf: PortmapConf, address: Cidr): ContainerRule[] =>
  conf.snat ? masqueradeRules(conf, address).map(entry => ({ chain: 'masquerading', rule: entry })) : []
