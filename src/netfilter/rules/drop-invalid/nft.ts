/**
 * Drops what NAT does not touch because it belongs to no connection, such as a late RST: it would leave with the
 * container's own address, which nobody outside knows.
 *
 *   table inet cni_drop_invalid {
 *     chain containers {
 *       ip saddr 10.1.2.3 ip daddr != 10.1.2.0/24 drop comment "<hashes>, net: net, if: eth0, id: c1"
 *     }
 *     chain forward {
 *       type filter hook forward priority filter; policy accept;
 *       ct state invalid goto containers
 *     }
 *   }
 *
 * and before an address's rule a `return` for each network that is never masqueraded, with the same comment.
 */
import type { Attachment } from '../../../attachment/attachment'
import { formatCidr } from '../../../ip/cidr'
import type { NetlinkSocket } from '../../../netlink/socket'
import { ensureChain } from '../../nft/ensure'
import { ctState } from '../../nft/match'
import { ruleList } from '../../nft/read'
import { type NftRule, rule } from '../../nft/rule'
import { drop, goto } from '../../nft/statement'
import { nftUpdate } from '../../nft/update'
import { attachmentRules, deleteRulesOf, deleteStaleRules, replaceRules, rulesOf } from '../attachment-rules'
import type { Masquerade } from '../masquerade/masquerade'

const table = { family: 'inet', name: 'cni_drop_invalid' } as const
const chain = 'containers'
const place = { table, chain }
const forward = 'forward'
// <linux/netfilter_ipv4.h>: NF_IP_PRI_FILTER.
const filter = 0

const dropRules = (masquerade: Masquerade): NftRule[] => attachmentRules(masquerade, drop())

/** Makes the rules of an attachment in place of those it had, in one batch. */
export const setupDropInvalid = (nl: NetlinkSocket, masquerade: Masquerade): void =>
  nftUpdate(nl, 'drop what belongs to no connection', tx => {
    tx.addTable(table)
    ensureChain(nl, tx, table, { name: chain })
    const hooked = { type: 'filter', hook: 'forward', priority: filter, policy: 'accept' } as const
    ensureChain(nl, tx, table, { name: forward, ...hooked })
    if (ruleList(nl, table, forward).length === 0)
      tx.addRule(table, forward, rule([ctState('invalid'), goto(chain)]))
    replaceRules(nl, tx, place, { id: masquerade, rules: dropRules(masquerade) })
  })

const removal = 'remove the rules against what belongs to no connection'

/** Removes the rules of an attachment; none there is no failure. */
export const teardownDropInvalid = (nl: NetlinkSocket, id: Attachment): void =>
  deleteRulesOf(nl, removal, place, id)

/** Removes the rules of the network's attachments that are not among the valid ones. */
export const collectDropInvalid = (nl: NetlinkSocket, network: string, valid: readonly Attachment[]): void =>
  deleteStaleRules(nl, removal, place, { network, valid })

/** What of an attachment's rules is missing, in words; empty if nothing is. */
export const missingDropInvalid = (nl: NetlinkSocket, masquerade: Masquerade): string[] => {
  const wanted = dropRules(masquerade).length
  const found = rulesOf(nl, place, masquerade).length
  const addresses = masquerade.addresses.map(formatCidr).join(', ')
  return [
    ...(found < wanted
      ? [`${wanted - found} of ${wanted} rules for ${addresses} in table ${table.name}`]
      : []),
    ...(ruleList(nl, table, forward).length === 0
      ? [`the rule of chain ${forward} in table ${table.name}`]
      : []),
  ]
}
