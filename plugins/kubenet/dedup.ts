/**
 * What makes a promiscuous bridge usable: it hands a frame to the host and forwards it too, so a pod that reaches a
 * service on itself would get everything twice. kubelet's kubenet dropped the second copy with ebtables; here, for a
 * network "pods":
 *
 *   table bridge kubenet {
 *     chain dedup-pods {
 *       type filter hook output priority 200; policy accept;
 *       oifname "veth*" ether saddr 0a:58:0a:f4:01:01 ip saddr 10.244.1.1 accept
 *       oifname "veth*" ether saddr 0a:58:0a:f4:01:01 ip saddr 10.244.1.0/24 drop
 *     }
 *   }
 */
import type { Addr } from '../../src/ip/addr'
import { type Cidr, firstHost, formatCidr } from '../../src/ip/cidr'
import type { Mac } from '../../src/ip/mac'
import { eq } from '../../src/netfilter/nft/match'
import { chainGet, ruleList } from '../../src/netfilter/nft/read'
import { type NftRule, rule } from '../../src/netfilter/nft/rule'
import { etherSaddr, oifname, saddr } from '../../src/netfilter/nft/selector'
import { accept, drop } from '../../src/netfilter/nft/statement'
import { nftUpdate } from '../../src/netfilter/nft/update'
import type { NetlinkSocket } from '../../src/netlink/socket'

const table = { family: 'bridge', name: 'kubenet' } as const

// <linux/netfilter_bridge.h>: NF_BR_PRI_FILTER_OTHER, where ebtables has its OUTPUT chain.
const priority = 200

const chainOf = (network: string): string => `dedup-${network}`

const rulesOf = (bridgeMac: Mac, podCIDRs: readonly Cidr[]): NftRule[] => {
  const rules: NftRule[] = []
  for (const range of podCIDRs) {
    const gateway: Addr = firstHost(range)
    const from = [eq(oifname, 'veth*'), eq(etherSaddr, bridgeMac)]
    // What the rules were made from: the kernel's form of a rule is not compared.
    const comment = `${bridgeMac} ${formatCidr(range)}`
    rules.push(rule([...from, eq(saddr(range.addr.family), gateway), accept()], { comment }))
    rules.push(rule([...from, eq(saddr(range.addr.family), range), drop()], { comment }))
  }
  return rules
}

/** Makes the network's rules, unless they are there as they should be. */
export const ensureDedup = (
  nl: NetlinkSocket,
  network: string,
  bridge: { mac: Mac; podCIDRs: readonly Cidr[] },
): void => {
  const rules = rulesOf(bridge.mac, bridge.podCIDRs)
  const name = chainOf(network)
  const found = ruleList(nl, table, name).map(({ comment }) => comment)
  if (found.join() === rules.map(({ comment }) => comment).join()) return
  nftUpdate(nl, 'keep a promiscuous bridge from sending twice', tx => {
    tx.addTable(table)
    tx.addChain(table, { name, type: 'filter', hook: 'output', priority })
    tx.flushChain(table, name)
    for (const entry of rules) tx.addRule(table, name, entry)
  })
}

/** Removes the network's rules, for a network that is promiscuous no more; none there is no failure. */
export const removeDedup = (nl: NetlinkSocket, network: string): void => {
  if (!chainGet(nl, table, chainOf(network))) return
  nftUpdate(nl, 'remove the rules of a promiscuous bridge', tx => tx.deleteChain(table, chainOf(network)))
}
