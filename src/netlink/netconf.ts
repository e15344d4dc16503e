import type { Family } from '../ip/addr'
import { unlessRefused } from './error'
import type { NetlinkSocket } from './socket'
import { messageBody, putU32, type Reply, readAttributes, readNumber } from './wire/message'

/** <linux/rtnetlink.h>, <linux/netconf.h> */
const RTM_NEWNETCONF = 80
const RTM_GETNETCONF = 82
const NETCONFA_IFINDEX = 1
const NETCONFA_FORWARDING = 2
const NETCONFA_IFINDEX_ALL = 0xffffffff // -1

/** Announced when forwarding of a family, or of one interface, is switched. */
export const RTNLGRP_IPV4_NETCONF = 24
export const RTNLGRP_IPV6_NETCONF = 25

/** <linux/socket.h> */
const familyNumbers = { 4: 2, 6: 10 } as const

// struct netconfmsg { __u8 ncm_family; }, aligned to four bytes.
const SIZEOF_NETCONFMSG = 4

/**
 * Does the namespace the socket is in forward packets of the family? Undefined where the kernel does not say, as without
 * IPv6. Equivalent to reading net.ipv4.ip_forward or net.ipv6.conf.all.forwarding, but does not get slower with every
 * network namespace there is, each of which has files of these names for the kernel to tell apart.
 */
export const forwards = (nl: NetlinkSocket, family: Family): boolean | undefined => {
  const header = Buffer.from([familyNumbers[family], 0, 0, 0])
  const replies = unlessRefused(['EAFNOSUPPORT', 'EINVAL', 'ENODEV', 'EOPNOTSUPP'], () =>
    nl.request(`ask whether IPv${family} is forwarded`, {
      type: RTM_GETNETCONF,
      body: messageBody(header, [[NETCONFA_IFINDEX, putU32(NETCONFA_IFINDEX_ALL)]]),
    }),
  )
  const reply = replies?.find(({ type }) => type === RTM_NEWNETCONF)
  const value = reply && readAttributes(reply.data, SIZEOF_NETCONFMSG).get(NETCONFA_FORWARDING)
  return value && readNumber(value) !== 0
}

/** Does a message say that the namespace forwards no more, whichever family it is about? */
export const saysForwardingIsOff = ({ type, data }: Reply): boolean => {
  if (type !== RTM_NEWNETCONF) return false
  const attributes = readAttributes(data, SIZEOF_NETCONFMSG)
  return (
    readNumber(attributes.get(NETCONFA_IFINDEX)) === NETCONFA_IFINDEX_ALL &&
    readNumber(attributes.get(NETCONFA_FORWARDING)) === 0
  )
}
