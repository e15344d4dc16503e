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
import type { Attachment } from '../../../attachment/attachment'
import { formatCidr, literalCidr } from '../../../ip/cidr'
import type { NetlinkSocket } from '../../../netlink/socket'
import { ruleList } from '../../nft/read'
import { type NftRule, rule } from '../../nft/rule'
import { ip6Daddr, ipDaddr } from '../../nft/selector'
import { ifNftables, ifNftablesMeanwhile } from '../../nft/socket'
import { eq, goto, masquerade as masqueradeStatement, returnToCaller } from '../../nft/statement'
import { ensureChain, type NftTransaction, nftUpdate } from '../../nft/transaction'
import {
  attachmentRules,
  deleteRulesOf,
  deleteStaleRules,
  probeNftables,
  replaceRules,
  rulesOf,
  withNftables,
} from '../attachment-rules'
import type { Masquerade, MasqueradeRules } from './masquerade'

const table = { family: 'inet', name: 'cni_plugins_masquerade' } as const
const tableComment = 'Masquerading for plugins from github.com/containernetworking/plugins'
const checks = 'masq_checks'
const checksComment = 'Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet'
const place = { table, chain: checks }
const postrouting = 'postrouting'
// <linux/netfilter_ipv4.h>: NF_IP_PRI_NAT_SRC.
const srcnat = 100

/** The rules of the base chain, the same for every container. */
const baseRules = (): NftRule[] => [
  rule([eq(ipDaddr, literalCidr('224.0.0.0/4')), returnToCaller()]),
  rule([eq(ip6Daddr, literalCidr('ff00::/8')), returnToCaller()]),
  rule([goto(checks)]),
]

const addressRules = (masquerade: Masquerade): NftRule[] => attachmentRules(masquerade, masqueradeStatement())

const ensureBase = (nl: NetlinkSocket, tx: NftTransaction): void => {
  const base = baseRules()
  tx.addTable(table, { comment: tableComment })
  ensureChain(nl, tx, table, { name: checks, comment: checksComment })
  ensureChain(nl, tx, table, { name: postrouting, type: 'nat', hook: 'postrouting', priority: srcnat })
  if (ruleList(nl, table, postrouting).length === base.length) return
  tx.flushChain(table, postrouting)
  for (const entry of base) tx.addRule(table, postrouting, entry)
}

const setUp = (nl: NetlinkSocket, masquerade: Masquerade): void =>
  nftUpdate(nl, 'set up masquerading', tx => {
    ensureBase(nl, tx)
    replaceRules(nl, tx, place, { id: masquerade, rules: addressRules(masquerade) })
  })

const removal = 'remove masquerading'

const takeDown = async (id: Attachment): Promise<void> => {
  await ifNftablesMeanwhile(nl => deleteRulesOf(nl, removal, place, id))
}

const missing = (nl: NetlinkSocket, masquerade: Masquerade): string[] => {
  const found = rulesOf(nl, place, masquerade).length
  const wanted = addressRules(masquerade).length
  const lost: string[] = []
  if (found < wanted) {
    const addresses = masquerade.addresses.map(formatCidr).join(', ')
    lost.push(`${wanted - found} of ${wanted} rules for ${addresses} in chain ${checks}`)
  }
  if (ruleList(nl, table, postrouting).length < baseRules().length)
    lost.push(`the rules of chain ${postrouting}`)
  return lost
}

export const masqueradeRules: MasqueradeRules = {
  setUp: async (masquerade, undo) => {
    undo.add('remove the masquerade rules', () => takeDown(masquerade))
    withNftables(nl => setUp(nl, masquerade))
  },
  takeDown: ({ id }) => takeDown(id),
  missing: async masquerade => ifNftables(nl => missing(nl, masquerade)) ?? ['this kernel has no nf_tables'],
  collect: async kept => {
    ifNftables(nl => deleteStaleRules(nl, removal, place, kept))
  },
  probe: async () => probeNftables(),
  isThere: id => ifNftables(nl => rulesOf(nl, place, id).length > 0) ?? false,
}
