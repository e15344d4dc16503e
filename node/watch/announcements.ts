/** What the kernel's announcements say of what pods need: was something taken that "kubenet sync" brings back? */
import {
  isNftMessage,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  nftFamilyOf,
  readNftAttributes,
} from '../../src/netfilter/nft/wire/message'
import { RTM_DELADDR, RTNLGRP_IPV6_IFADDR } from '../../src/netlink/addr'
import { EventSocket } from '../../src/netlink/event-socket'
import { IFF_UP, type Link, linkByIndex } from '../../src/netlink/link'
import { RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, saysForwardingIsOff } from '../../src/netlink/netconf'
import { NETLINK_NETFILTER, NETLINK_ROUTE, type NetlinkSocket, type Reply } from '../../src/netlink/socket'
import { RTM_DELLINK, RTM_NEWLINK, RTNLGRP_LINK } from '../../src/netlink/wire/link'
import { readText } from '../../src/netlink/wire/message'

/**
 * "lost": only another program removes it, and many pods lose it at once; rebuilt without delay. "touched": it may
 * also be a DEL that is under way, which shall finish first.
 */
export type Loss = { readonly kind: 'lost' | 'touched'; readonly what: string }

const touched = (what: string): Loss => ({ kind: 'touched', what })

// <linux/netfilter/nfnetlink.h>, <linux/netfilter/nf_tables.h>
const NFNLGRP_NFTABLES = 7
/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE and NFTA_SET_ELEM_LIST_TABLE are all 1. */
const tableAttribute = 1
const NFTA_RULE_CHAIN = 2
const NFTA_CHAIN_NAME = 3

// <linux/rtnetlink.h>, <linux/socket.h>
const RTNLGRP_TC = 4
const RTNLGRP_IPV4_IFADDR = 5
const RTM_DELQDISC = 37
const AF_BRIDGE = 7

/** The tables that are ours alone, and those of iptables, which a firewall flushes. */
const ownTables = [
  'inet kubenet',
  'bridge kubenet',
  'inet cni_plugins_masquerade',
  'ip cni_hostport',
  'ip6 cni_hostport',
  'inet cni_drop_invalid',
  'bridge nat',
]
const iptablesTables = ['ip nat', 'ip filter', 'ip raw', 'ip6 nat', 'ip6 filter', 'ip6 raw']

/** Chains of iptables that hold rules of ours: the plugins' own, and those of the kernel, which are in capitals. */
const chainsOfOurs = /^(CNI-|[A-Z]+$)/

/** Objects whose deletion the kernel announces. */
const deletions = [NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE, NFT_MSG_DELSET, NFT_MSG_DELSETELEM]

const lossOfRules = ({ type, data }: Reply): Loss | undefined => {
  const deleted = deletions.find(message => isNftMessage(type, message))
  if (deleted === undefined) return undefined
  const attributes = readNftAttributes(data)
  const table = `${nftFamilyOf(data[0] ?? 0)} ${readText(attributes.get(tableAttribute))}`
  const isOwn = ownTables.includes(table)
  if (!isOwn && !iptablesTables.includes(table)) return undefined
  if (deleted === NFT_MSG_DELTABLE) return { kind: 'lost', what: `table "${table}" was deleted` }
  if (deleted === NFT_MSG_DELSET || deleted === NFT_MSG_DELSETELEM) {
    return isOwn ? touched(`elements of table "${table}" were deleted`) : undefined
  }
  const name = attributes.get(deleted === NFT_MSG_DELRULE ? NFTA_RULE_CHAIN : NFTA_CHAIN_NAME)
  const isOurs = isOwn || chainsOfOurs.test(readText(name))
  return isOurs ? touched(`rules of table "${table}" were deleted`) : undefined
}

/** The interface a message is about, unless it is gone: then what was on it went with it. */
const linkOf = (nl: NetlinkSocket, { data }: Reply): Link | undefined => linkByIndex(nl, data.readInt32LE(4))

const lossOfLink = (nl: NetlinkSocket, reply: Reply): Loss | undefined => {
  if (saysForwardingIsOff(reply)) return { kind: 'lost', what: 'forwarding was switched off' }
  if (reply.type === RTM_NEWLINK && (reply.data.readUInt32LE(8) & IFF_UP) !== 0) return undefined
  if (![RTM_NEWLINK, RTM_DELLINK, RTM_DELADDR, RTM_DELQDISC].includes(reply.type)) return undefined
  const link = linkOf(nl, reply)
  if (!link) return undefined
  if (reply.type === RTM_DELQDISC) return touched(`a queueing discipline of "${link.name}" was deleted`)
  if (reply.type === RTM_DELLINK) {
    return reply.data[0] === AF_BRIDGE ? touched(`"${link.name}" was removed from its bridge`) : undefined
  }
  if (link.kind !== 'bridge') return undefined
  return touched(
    reply.type === RTM_DELADDR
      ? `bridge "${link.name}" lost an address`
      : `bridge "${link.name}" was set down`,
  )
}

/** What an announcement says was lost; undefined if nothing of ours, or nothing at all. */
export const lossOf = (nl: NetlinkSocket, reply: Reply): Loss | undefined =>
  lossOfRules(reply) ?? lossOfLink(nl, reply)

/** Sockets that hear all of that, in the calling thread's namespace. */
export const openAnnouncements = (): readonly EventSocket[] => [
  EventSocket.open(NETLINK_NETFILTER, [NFNLGRP_NFTABLES]),
  EventSocket.open(NETLINK_ROUTE, [
    RTNLGRP_LINK,
    RTNLGRP_TC,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV4_NETCONF,
    RTNLGRP_IPV6_NETCONF,
  ]),
]
