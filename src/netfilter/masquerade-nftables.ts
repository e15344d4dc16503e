/**
 * Masquerading with nftables, rule for rule as the reference has it:
 *
 *   table inet cni_plugins_masquerade {
 *     chain masq_checks {
 *       ip saddr 10.1.2.3 ip daddr != 10.1.2.0/24 masquerade comment "<hashes>, net: net, if: eth0, id: c1"
 *     }
 *     chain postrouting {
 *       type nat hook postrouting priority srcnat; policy accept;
 *       ip daddr 224.0.0.0/4 return
 *       ip6 daddr ff00::/8 return
 *       goto masq_checks
 *     }
 *   }
 *
 * and before an address's rule a `return` for each network that is never masqueraded, with the same comment.
 */
import { platform } from '#platform'
import { type Cidr, formatCidr, networkOf, parseCidr } from '../ip/cidr'
import type { NetlinkSocket } from '../netlink/socket'
import type { Masquerade } from './masquerade'
import { eq, neq } from './nft/match'
import { ruleList, ruleListByComment } from './nft/read'
import { type NftRule, rule } from './nft/rule'
import { daddr, ip6Daddr, ipDaddr, saddr } from './nft/selector'
import { goto, masquerade as masqueradeStatement, returnToCaller } from './nft/statement'
import type { NftTransaction } from './nft/transaction'
import { nftUpdate } from './nft/update'
import type { ReadRule } from './nft/wire/rule'
import { maxCommentBytes } from './nft/wire/userdata'

const table = { family: 'inet', name: 'cni_plugins_masquerade' } as const
const tableComment = 'Masquerading for plugins from github.com/containernetworking/plugins'
const checks = 'masq_checks'
const checksComment = 'Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet'
const postrouting = 'postrouting'
// <linux/netfilter_ipv4.h>: NF_IP_PRI_NAT_SRC.
const srcnat = 100

const hash = (text: string): string => platform.sha512Hex(text).slice(0, 16)

type Instance = Pick<Masquerade, 'network' | 'containerID' | 'ifName'>

/** What the comments of an attachment's rules begin with. */
const instanceHash = ({ network, containerID, ifName }: Instance): string =>
  `${hash(network)}-${hash(`${ifName}:${containerID}`)}`

const commentOf = (id: Instance): string => {
  const comment = `${instanceHash(id)}, net: ${id.network}, if: ${id.ifName}, id: ${id.containerID}`
  return comment.replaceAll('"', '').slice(0, maxCommentBytes)
}

const must = (text: string): Cidr => {
  const parsed = parseCidr(text)
  if (!parsed) throw new Error(`${text} is no network`)
  return parsed
}

/** The rules of the base chain, the same for every container. */
const baseRules = (): NftRule[] => [
  rule([eq(ipDaddr, must('224.0.0.0/4')), returnToCaller()]),
  rule([eq(ip6Daddr, must('ff00::/8')), returnToCaller()]),
  rule([goto(checks)]),
]

const addressRules = (masquerade: Masquerade): NftRule[] => {
  const comment = commentOf(masquerade)
  const rules: NftRule[] = []
  for (const address of masquerade.addresses) {
    const { family } = address.addr
    const from = eq(saddr(family), address.addr)
    for (const network of masquerade.exempt) {
      if (network.addr.family !== family) continue
      rules.push(rule([from, eq(daddr(family), network), returnToCaller()], { comment }))
    }
    rules.push(rule([from, neq(daddr(family), networkOf(address)), masqueradeStatement()], { comment }))
  }
  return rules
}

const ensureBase = (nl: NetlinkSocket, tx: NftTransaction): void => {
  const base = baseRules()
  tx.addTable(table, { comment: tableComment })
  tx.addChain(table, { name: checks, comment: checksComment })
  tx.addChain(table, { name: postrouting, type: 'nat', hook: 'postrouting', priority: srcnat })
  if (ruleList(nl, table, postrouting).length === base.length) return
  tx.flushChain(table, postrouting)
  for (const entry of base) tx.addRule(table, postrouting, entry)
}

/** Makes the rules of an attachment in place of those it had, say of a DEL that got lost, in one batch. */
export const setupMasqueradeNftables = (nl: NetlinkSocket, masquerade: Masquerade): void =>
  nftUpdate(nl, 'set up masquerading', tx => {
    const prefix = instanceHash(masquerade)
    ensureBase(nl, tx)
    for (const found of ruleListByComment(nl, table, checks, prefix)) tx.deleteRule(table, found)
    for (const entry of addressRules(masquerade)) tx.addRule(table, checks, entry)
  })

/** Deletes the rules whose comments begin with `prefix`, but for some. */
const deleteRules = (nl: NetlinkSocket, prefix: string, isKept = (_: ReadRule): boolean => false): void =>
  nftUpdate(nl, 'remove masquerading', tx => {
    for (const found of ruleListByComment(nl, table, checks, prefix))
      if (!isKept(found)) tx.deleteRule(table, found)
  })

/** Removes the rules of an attachment; none there is no failure. */
export const teardownMasqueradeNftables = (nl: NetlinkSocket, id: Instance): void =>
  deleteRules(nl, instanceHash(id))

/** Removes the rules of the network's attachments that are not among the valid ones. */
export const collectMasqueradeNftables = (
  nl: NetlinkSocket,
  network: string,
  valid: readonly { containerID: string; ifName: string }[],
): void => {
  const alive = valid.map(({ containerID, ifName }) => instanceHash({ network, containerID, ifName }))
  deleteRules(nl, `${hash(network)}-`, ({ comment }) => alive.some(entry => comment.startsWith(entry)))
}

/** What of an attachment's rules is missing, in words; empty if nothing is. */
export const missingMasqueradeNftables = (nl: NetlinkSocket, masquerade: Masquerade): string[] => {
  const found = ruleListByComment(nl, table, checks, instanceHash(masquerade)).length
  const wanted = addressRules(masquerade).length
  const missing: string[] = []
  if (found < wanted) {
    const addresses = masquerade.addresses.map(formatCidr).join(', ')
    missing.push(`${wanted - found} of ${wanted} rules for ${addresses} in chain ${checks}`)
  }
  if (ruleList(nl, table, postrouting).length < baseRules().length)
    missing.push(`the rules of chain ${postrouting}`)
  return missing
}
