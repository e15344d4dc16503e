import { isFrom } from '../host/system-error'
import { addrBytes, addressFamily, addrFromBytes } from '../ip/addr'
import { type Cidr, formatCidr, lastAddr } from '../ip/cidr'
import { netlinkError, unlessRefused } from './error'
import type { EventSocket } from './event-socket'
import type { Link } from './link'
import { type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './socket'
import { messageBody, putU32, readAttributes, readIndexAt, readNumber } from './wire/message'

/** <linux/rtnetlink.h> */
const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
const RTM_GETADDR = 22

/** <linux/if_addr.h> */
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_BROADCAST = 4
const IFA_FLAGS = 8
const IFA_TARGET_NETNSID = 10
const IFA_F_NODAD = 0x02
const IFA_F_DADFAILED = 0x08
const IFA_F_TENTATIVE = 0x40

/** <linux/rtnetlink.h> */
export const RTNLGRP_IPV6_IFADDR = 9

// <linux/if_addr.h>                               offset
// struct ifaddrmsg {
//   __u8 ifa_family, ifa_prefixlen;               0, 1
//   __u8 ifa_flags, ifa_scope;                    2, 3
//   __u32 ifa_index;                              4
// };                                              8 bytes
const SIZEOF_IFADDRMSG = 8

const ifAddrMsg = (family: number, prefix: number, index: number): Buffer => {
  const header = Buffer.alloc(SIZEOF_IFADDRMSG)
  header[0] = family
  header[1] = prefix
  header.writeUInt32LE(index, 4)
  return header
}

/** An address on an interface. */
export type LinkAddr = {
  readonly index: number
  readonly cidr: Cidr
  readonly flags: number
  readonly scope: number
}

/** Which addresses: of one interface, of one family, in the namespace that this one knows by a number. */
type AddrFilter = { index?: number; family?: 4 | 6; netnsId?: number | undefined }

/**
 * The addresses of one interface, or of all; an interface of this namespace that is gone has none.
 * Equivalent to: `ip addr show [dev $index]`.
 */
export const addrList = (nl: NetlinkSocket, of: AddrFilter = {}): LinkAddr[] => {
  const { index, family, netnsId } = of
  const ask = () =>
    nl.dump('list the addresses', {
      type: RTM_GETADDR,
      body: messageBody(ifAddrMsg(family ? addressFamily(family) : 0, 0, index ?? 0), [
        [IFA_TARGET_NETNSID, netnsId === undefined ? undefined : putU32(netnsId)],
      ]),
    })
  const replies = netnsId === undefined ? (unlessRefused(['ENODEV'], ask) ?? []) : ask()
  const found: LinkAddr[] = []
  for (const { type, data } of replies) {
    if (type !== RTM_NEWADDR || (index !== undefined && data.readUInt32LE(4) !== index)) continue
    const attributes = readAttributes(data, SIZEOF_IFADDRMSG)
    // IFA_LOCAL is the interface's own address, where IFA_ADDRESS is the peer's on a point-to-point link.
    const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)
    const addr = bytes && addrFromBytes(bytes)
    if (!addr) continue
    found.push({
      index: readIndexAt(data, 4),
      cidr: { addr, prefix: data[1] ?? 0 },
      flags: readNumber(attributes.get(IFA_FLAGS)) ?? data[2] ?? 0,
      scope: data[3] ?? 0,
    })
  }
  return found
}

/**
 * The addresses of a veth's other end, wherever that is; undefined if it cannot be asked: before Linux 4.20, or as its
 * namespace is about to go (NETNSA_NSID_NOT_ASSIGNED).
 */
export const peerAddrs = (nl: NetlinkSocket, { peer, peerNetnsId }: Link): Cidr[] | undefined =>
  peerNetnsId !== undefined && peerNetnsId < 0
    ? undefined
    : unlessRefused(['EINVAL', 'EOPNOTSUPP', 'EPERM', 'ENODEV'], () =>
        addrList(nl, { index: peer, netnsId: peerNetnsId }).map(({ cidr }) => cidr),
      )

/**
 * Puts an address on an interface; one that is there already is no failure. IPv6 addresses skip duplicate address
 * detection unless `dad`: no other program on a bridge of ours hands them out, and they are usable at once.
 * Equivalent to: `ip addr add $cidr brd + dev $link [nodad]`.
 */
export const addrAdd = (
  nl: NetlinkSocket,
  link: { index: number; name: string },
  cidr: Cidr,
  { dad = false }: { dad?: boolean } = {},
): void => {
  const bytes = addrBytes(cidr.addr)
  const v4 = cidr.addr.family === 4
  const op = `add ${formatCidr(cidr)} to "${link.name}"`
  unlessRefused(['EEXIST'], () =>
    explainingNoIPv6(op, cidr, () =>
      nl.request(op, {
        type: RTM_NEWADDR,
        flags: NLM_F_CREATE | NLM_F_EXCL,
        body: messageBody(ifAddrMsg(addressFamily(cidr.addr.family), cidr.prefix, link.index), [
          [IFA_LOCAL, bytes],
          [IFA_ADDRESS, bytes],
          [IFA_BROADCAST, v4 && cidr.prefix < 31 ? addrBytes(lastAddr(cidr)) : undefined],
          [IFA_FLAGS, v4 || dad ? undefined : putU32(IFA_F_NODAD)],
        ]),
      }),
    ),
  )
}

/** For operators of nodes without IPv6; its sysctls are missing there too. */
const noIPv6 =
  'this kernel has no IPv6: it was started with ipv6.disable=1, or built without CONFIG_IPV6; start it with IPv6, or ' +
  'remove the IPv6 ranges'

/** Without IPv6 the kernel does not know the kind of request. */
const explainingNoIPv6 = <T>(op: string, { addr }: Cidr, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    if (addr.family === 4 || !isFrom(error, 'netlink', 'EOPNOTSUPP')) throw error
    throw netlinkError(op, error.code, noIPv6)
  }
}

/** Takes an address off an interface; one that is not there is no failure. */
export const addrDel = (nl: NetlinkSocket, link: { index: number; name: string }, cidr: Cidr): void => {
  unlessRefused(['EADDRNOTAVAIL', 'ENODEV'], () =>
    nl.request(`remove ${formatCidr(cidr)} from "${link.name}"`, {
      type: RTM_DELADDR,
      body: messageBody(ifAddrMsg(addressFamily(cidr.addr.family), cidr.prefix, link.index), [
        [IFA_LOCAL, addrBytes(cidr.addr)],
        [IFA_ADDRESS, addrBytes(cidr.addr)],
      ]),
    }),
  )
}

/** An IPv6 address that duplicate address detection has found to be taken, or is still at. */
type UnsettledAddr = { readonly cidr: Cidr; readonly failed: boolean }

/**
 * Waits until duplicate address detection is through with all addresses of an interface. Answers one that is
 * another program's already, or one it is still at after `seconds`; undefined if all is well. `events` must
 * have listened to RTNLGRP_IPV6_IFADDR in the same namespace before they were added.
 */
export const waitUntilSettled = (
  nl: NetlinkSocket,
  events: EventSocket,
  index: number,
  seconds: number,
): UnsettledAddr | undefined => {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const addrs = addrList(nl, { index, family: 6 })
    const failed = addrs.find(({ flags }) => flags & IFA_F_DADFAILED)
    if (failed) return { cidr: failed.cidr, failed: true }
    const tentative = addrs.find(({ flags }) => flags & IFA_F_TENTATIVE)
    if (!tentative) return undefined
    const left = (deadline - performance.now()) / 1000
    if (left <= 0) return { cidr: tentative.cidr, failed: false }
    try {
      events.next('wait for the addresses', left)
    } catch (error) {
      // More was announced than the socket holds: the addresses are read again in any case.
      if (!isFrom(error, 'netlink', 'ENOBUFS')) throw error
    }
  }
}
