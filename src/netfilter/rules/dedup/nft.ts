/**
 * Rules that make a promiscuous bridge usable: it hands a frame to the host and forwards it too, so a pod that reaches
 * a service on itself would get everything twice. kubelet's kubenet dropped the second copy with ebtables; here, for a
 * network "pods":
 *
 *   table bridge kubenet {
 *     chain dedup-pods {
 *       type filter hook output priority 200; policy accept;
 *       oifname "veth*" ether saddr 0a:58:0a:f4:01:01 ip saddr 10.244.1.1 accept
 *       oifname "veth*" ether saddr 0a:58:0a:f4:01:01 ip saddr 10.244.1.0/24 ip daddr 10.244.1.0/24 drop
 *     }
 *   }
 *
 * Within one range nothing else is routed. Between two, a node's old one and its new one, everything is: where one lies
 * inside the other, what comes from the narrow one and goes beyond it is let through before the wide one's turn.
 */
import { nameInNft } from '../../../attachment/nft-comments'
import { type Cidr, cidrContains, formatCidr, networkOf } from '../../../ip/cidr'
import type { Mac } from '../../../ip/mac'
import type { NetlinkSocket } from '../../../netlink/socket'
import { ruleList } from '../../nft/read'
import { type NftRule, rule } from '../../nft/rule'
import { daddr, etherSaddr, oifname, saddr } from '../../nft/selector'
import { ifNftables } from '../../nft/socket'
import { accept, drop, eq } from '../../nft/statement'
import { nftProbe, nftUpdate } from '../../nft/transaction'
import { tableComment } from '../pods/nft-rules'

const table = { family: 'bridge', name: 'kubenet' } as const

// <linux/netfilter_bridge.h>: NF_BR_PRI_FILTER_OTHER, where ebtables has its OUTPUT chain.
const priority = 200

const chainOf = (network: string): string => `dedup-${nameInNft(network)}`

/** A network's bridge, and the addresses by which it is the gateway of ranges. */
type PromiscuousBridge = {
  readonly network: string
  readonly mac: Mac
  readonly gateways: readonly Cidr[]
}

/** Narrow ranges before wide ones; the kernel lists addresses in an order of its own. */
const inOrder = (gateways: readonly Cidr[]): Cidr[] =>
  gateways.toSorted((a, b) => b.prefix - a.prefix || (formatCidr(a) < formatCidr(b) ? -1 : 1))

const rulesOf = ({ mac, gateways }: Omit<PromiscuousBridge, 'network'>): NftRule[] => {
  const ranges = inOrder(gateways)
  const from = [eq(oifname, 'veth*'), eq(etherSaddr, mac)]
  // The source of the rules: the kernel's form of a rule is not compared.
  const commentOf = (gateway: Cidr) => ({ comment: `${mac} ${formatCidr(gateway)}` })
  const passing = ranges.map(gateway =>
    rule([...from, eq(saddr(gateway.addr.family), gateway.addr), accept()], commentOf(gateway)),
  )
  const dropping = ranges.flatMap((gateway, at) => {
    const { family } = gateway.addr
    const range = networkOf(gateway)
    const source = [...from, eq(saddr(family), range)]
    const within = rule([...source, eq(daddr(family), range), drop()], commentOf(gateway))
    const isNested = ranges.slice(at + 1).some(wider => cidrContains(wider, gateway.addr))
    return isNested ? [within, rule([...source, accept()], commentOf(gateway))] : [within]
  })
  return [...passing, ...dropping]
}

/** Said where the kernel has no nf_tables, and all else works. */
export const noDedup =
  'kubenet: this kernel has no nf_tables: a pod gets every datagram twice that it sends to itself by a service; ' +
  'load the module nf_tables, or set "hairpinMode": "hairpin-veth"'

const commentsOf = (rules: readonly { comment?: string | undefined }[]): string =>
  rules.map(({ comment }) => comment).join()

const isThere = (nl: NetlinkSocket, bridge: PromiscuousBridge): boolean =>
  commentsOf(ruleList(nl, table, chainOf(bridge.network))) === commentsOf(rulesOf(bridge))

const setUp = (nl: NetlinkSocket, bridge: PromiscuousBridge): void => {
  if (isThere(nl, bridge)) return
  const rules = rulesOf(bridge)
  const name = chainOf(bridge.network)
  nftUpdate(nl, 'drop duplicate packets of a promiscuous bridge', tx => {
    tx.addTable(table, { comment: tableComment })
    tx.addChain(table, { name, type: 'filter', hook: 'output', priority })
    tx.flushChain(table, name)
    for (const entry of rules) tx.addRule(table, name, entry)
  })
}

const probe = (nl: NetlinkSocket): void => {
  const gateway = { addr: { family: 4, bits: 0x0a000001n }, prefix: 24 } as const
  const rules = rulesOf({ mac: '0a:58:0a:00:00:01', gateways: [gateway] })
  nftProbe(nl, tx => {
    tx.addTable(table)
    tx.addChain(table, { name: 'probe', type: 'filter', hook: 'output', priority })
    for (const entry of rules) tx.addRule(table, 'probe', entry)
  })
}

/** A network's rules against double frames. They are all pods' and stay, so no pod's DEL or GC takes them down. */
export const dedupRules = {
  /** Makes them, unless they are there as they should be. Answers whether the kernel has nf_tables for them. */
  setUp: (bridge: PromiscuousBridge): boolean =>
    ifNftables(nl => {
      setUp(nl, bridge)
      return true
    }) ?? false,

  /** Are they missing or others? Not where the kernel has no nf_tables. */
  missing: (bridge: PromiscuousBridge): boolean => ifNftables(nl => !isThere(nl, bridge)) ?? false,

  /** Throws what making the rules of such a bridge would, and makes none. Answers whether the kernel has nf_tables. */
  probe: (): boolean =>
    ifNftables(nl => {
      probe(nl)
      return true
    }) ?? false,
}
