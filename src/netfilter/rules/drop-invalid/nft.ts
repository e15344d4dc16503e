/**
 * Drops what NAT does not touch because it belongs to no connection, such as a late RST: it would leave with the
 * container's own address, which is unknown outside.
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
import type { RuleKind } from '../../backend'
import { ruleList } from '../../nft/read'
import { type NftRule, rule } from '../../nft/rule'
import { ifNftables } from '../../nft/socket'
import { ctState, drop, goto } from '../../nft/statement'
import { ensureChain, nftUpdate } from '../../nft/transaction'
import {
  attachmentRules,
  deleteRulesOf,
  deleteStaleRules,
  probeNftables,
  replaceRules,
  rulesOf,
  withNftables,
} from '../attachment-rules'
import type { Kept, Masquerade } from '../masquerade/masquerade'

const table = { family: 'inet', name: 'cni_drop_invalid' } as const
const chain = 'containers'
const place = { table, chain }
const forward = 'forward'
// <linux/netfilter_ipv4.h>: NF_IP_PRI_FILTER.
const filter = 0

const dropRules = (masquerade: Masquerade): NftRule[] => attachmentRules(masquerade, drop())

const setUp = (nl: NetlinkSocket, masquerade: Masquerade): void =>
  nftUpdate(nl, 'drop packets of no connection', tx => {
    tx.addTable(table)
    ensureChain(nl, tx, table, { name: chain })
    const hooked = { type: 'filter', hook: 'forward', priority: filter, policy: 'accept' } as const
    ensureChain(nl, tx, table, { name: forward, ...hooked })
    if (ruleList(nl, table, forward).length === 0)
      tx.addRule(table, forward, rule([ctState('invalid'), goto(chain)]))
    replaceRules(nl, tx, place, { id: masquerade, rules: dropRules(masquerade) })
  })

const removal = 'remove the rules against packets of no connection'

const takeDown = async (id: Attachment): Promise<void> => {
  ifNftables(nl => deleteRulesOf(nl, removal, place, id))
}

const missing = (nl: NetlinkSocket, masquerade: Masquerade): string[] => {
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

/** The rules of "dropInvalid": what masquerading does not touch does not leave either. Without nf_tables there are none. */
export const dropInvalidRules: RuleKind<Masquerade, Attachment, Omit<Kept, 'dataDir'>> = {
  setUp: async (masquerade, undo) => {
    undo.add('remove the rules of "dropInvalid"', () => takeDown(masquerade))
    withNftables(nl => setUp(nl, masquerade))
  },
  takeDown,
  missing: async masquerade => withNftables(nl => missing(nl, masquerade)),
  collect: async kept => {
    ifNftables(nl => deleteStaleRules(nl, removal, place, kept))
  },
  probe: async () => probeNftables(),
}
