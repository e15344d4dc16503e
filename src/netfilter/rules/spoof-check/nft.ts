/**
 * Drops what a container sends under another MAC than its own, rule for rule as the reference has it:
 *
 *   table bridge nat {
 *     chain PREROUTING {
 *       type filter hook prerouting priority -300; policy accept;
 *       iifname "veth1" jump cni-br-iface-c1-eth0 comment "macspoofchk-c1-eth0"
 *     }
 *     chain cni-br-iface-c1-eth0 {
 *       jump cni-br-iface-c1-eth0-mac comment "macspoofchk-c1-eth0"
 *     }
 *     chain cni-br-iface-c1-eth0-mac {
 *       ether saddr 0a:58:0a:01:02:03 return comment "macspoofchk-c1-eth0"
 *       drop comment "macspoofchk-c1-eth0"
 *     }
 *   }
 */
import type { InterfaceID } from '../../../attachment/attachment'
import {
  cutSpoofCheckComment,
  spoofCheckComment,
  spoofCheckPrefix,
  spoofCheckRef,
} from '../../../attachment/nft-comments'
import { CniError, ErrorCode, saidBy } from '../../../cni/error'
import { type Mac, macBytes } from '../../../ip/mac'
import { linkByName } from '../../../netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../../netlink/socket'
import { readText } from '../../../netlink/wire/message'
import type { RuleKind } from '../../backend'
import { chainGet, ruleList, ruleListByComment } from '../../nft/read'
import { rule } from '../../nft/rule'
import { etherSaddr, iifname } from '../../nft/selector'
import { ifNftables } from '../../nft/socket'
import { drop, eq, jump, returnToCaller } from '../../nft/statement'
import { ensureChain, type NftTransaction, nftProbe, nftUpdate } from '../../nft/transaction'
import { readCmpValue } from '../../nft/wire/match'
import type { ReadRule } from '../../nft/wire/rule'
import { readTargetChain } from '../../nft/wire/statement'
import { probeNftables, withNftables } from '../attachment-rules'

const table = { family: 'bridge', name: 'nat' } as const
const prerouting = 'PREROUTING'
const priority = -300
const chainPrefix = 'cni-br-iface-'

const chainsOf = (ref: string): { iface: string; mac: string } => ({
  iface: `${chainPrefix}${ref}`,
  mac: `${chainPrefix}${ref}-mac`,
})

/** An attachment's rules in a chain. In the one all share, a comment that was cut off does not tell whose they are. */
const rulesOf = (nl: NetlinkSocket, chain: string, ref: string): ReadRule[] => {
  const comment = spoofCheckComment(ref)
  const old = cutSpoofCheckComment(ref)
  const found = (text: string) =>
    ruleListByComment(nl, table, chain, text).filter(entry => entry.comment === text)
  if (old === comment) return found(comment)
  const leadsThere = (entry: ReadRule) => targetOf(entry) === chainsOf(ref).iface
  return [...found(comment), ...found(old).filter(entry => chain !== prerouting || leadsThere(entry))]
}

/** The chain a rule jumps to. */
const targetOf = ({ expressions }: ReadRule): string | undefined =>
  expressions.map(readTargetChain).find(target => target !== undefined)

/** Adds what removes the chains of `ref` and every rule of PREROUTING, `entries`, that leads there. */
const removeChains = (
  nl: NetlinkSocket,
  tx: NftTransaction,
  ref: string,
  entries: readonly ReadRule[],
): void => {
  for (const entry of entries) tx.deleteRule(table, entry)
  const { iface, mac } = chainsOf(ref)
  // A chain takes its rules along, but not while another rule jumps there.
  for (const chain of [iface, mac]) if (chainGet(nl, table, chain)) tx.deleteChain(table, chain)
}

/**
 * The interface whose frames are checked: only `mac` may be the source of what comes from the host's veth `hostName`.
 */
type SpoofCheck = InterfaceID & { readonly hostName: string; readonly mac: Mac }

const setUp = (nl: NetlinkSocket, { hostName, mac, ...id }: SpoofCheck): void =>
  nftUpdate(nl, `check the MAC of "${hostName}"`, tx => {
    const ref = spoofCheckRef(id)
    const comment = spoofCheckComment(ref)
    const chains = chainsOf(ref)
    tx.addTable(table)
    const hooked = { type: 'filter', hook: 'prerouting', priority, policy: 'accept' } as const
    ensureChain(nl, tx, table, { name: prerouting, ...hooked })
    for (const entry of rulesOf(nl, prerouting, ref)) tx.deleteRule(table, entry)
    for (const chain of [chains.iface, chains.mac]) {
      ensureChain(nl, tx, table, { name: chain })
      tx.flushChain(table, chain)
    }
    tx.addRule(table, prerouting, rule([eq(iifname, hostName), jump(chains.iface)], { comment }))
    tx.addRule(table, chains.iface, rule([jump(chains.mac)], { comment }))
    tx.addRule(table, chains.mac, rule([eq(etherSaddr, mac), returnToCaller()], { comment }))
    tx.addRule(table, chains.mac, rule([drop()], { comment }))
  })

const takeDown = async (id: InterfaceID): Promise<void> => {
  const ref = spoofCheckRef(id)
  ifNftables(nl =>
    nftUpdate(nl, 'remove the check of a MAC', tx => removeChains(nl, tx, ref, rulesOf(nl, prerouting, ref))),
  )
}

/** The interface a rule of PREROUTING is for, as its comparison with iifname names it. */
const interfaceOf = (entry: ReadRule): string | undefined => {
  const value = entry.expressions.map(readCmpValue).find(bytes => bytes !== undefined)
  return value && readText(value)
}

/**
 * Removes the checks whose host veth is gone. The names of the chains tell no network, so a check is left alone as
 * long as its interface is there.
 */
const collect = (nl: NetlinkSocket, exists: (hostName: string) => boolean): void =>
  nftUpdate(nl, 'remove the checks of unused MACs', tx => {
    const checks = ruleList(nl, table, prerouting).filter(({ comment }) =>
      comment.startsWith(spoofCheckPrefix),
    )
    for (const target of new Set(checks.map(targetOf))) {
      if (!target?.startsWith(chainPrefix)) continue
      const entries = checks.filter(entry => targetOf(entry) === target)
      const names = entries.map(interfaceOf)
      if (names.some(name => name === undefined || exists(name))) continue
      removeChains(nl, tx, target.slice(chainPrefix.length), entries)
    }
  })

const comparesWith = (entry: ReadRule, value: Uint8Array): boolean =>
  entry.expressions.some(expression => readCmpValue(expression)?.equals(value))

/** The missing or different part of a check, in words. */
const missing = (nl: NetlinkSocket, { hostName, mac, ...id }: SpoofCheck): string[] => {
  const ref = spoofCheckRef(id)
  const chains = chainsOf(ref)
  if (!rulesOf(nl, prerouting, ref).some(entry => interfaceOf(entry) === hostName))
    return [`chain ${prerouting} has no rule for "${hostName}"`]
  if (rulesOf(nl, chains.iface, ref).length === 0) return [`chain ${chains.iface} has no rule`]
  const [allowed, dropped] = rulesOf(nl, chains.mac, ref)
  if (!allowed || !dropped) return [`chain ${chains.mac} has not both of its rules`]
  if (!comparesWith(allowed, macBytes(mac))) return [`chain ${chains.mac} does not let ${mac} pass`]
  return []
}

const probe = (nl: NetlinkSocket): void =>
  nftProbe(nl, tx => {
    tx.addTable(table)
    tx.addChain(table, { name: 'probe' })
    tx.addRule(table, 'probe', rule([eq(iifname, 'probe'), drop()]))
  })

/** The rules of "macspoofchk": frames under another MAC than the container's are dropped at its port. */
export const spoofCheckRules: RuleKind<SpoofCheck, InterfaceID, void> = {
  setUp: async (check, undo) => {
    undo.add('remove the check of the MAC', () => takeDown(check))
    withNftables(nl => setUp(nl, check))
  },
  takeDown,
  missing: async check => withNftables(nl => missing(nl, check)),
  collect: async () => {
    ifNftables(nl =>
      // One by one: the veth of a check that was found is older than it, so a list made before could lack it.
      withNetlink(NETLINK_ROUTE, route => collect(nl, name => linkByName(route, name) !== undefined)),
    )
  },
  probe: async () => {
    probeNftables()
    try {
      withNftables(probe)
    } catch (error) {
      throw new CniError(ErrorCode.pluginNotAvailable, '"macspoofchk" does not work on this kernel', {
        details: saidBy(error),
      })
    }
  },
}
