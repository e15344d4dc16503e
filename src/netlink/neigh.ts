import { isFrom } from '../host/system-error'
import { type Addr, addrBytes, addressFamily, addrFromBytes, formatAddr } from '../ip/addr'
import { formatMac, type Mac } from '../ip/mac'
import { unlessRefused } from './error'
import type { EventSocket } from './event-socket'
import { type NetlinkSocket, NLM_F_CREATE } from './socket'
import { messageBody, readAttributes } from './wire/message'

/** <linux/rtnetlink.h> */
const RTM_NEWNEIGH = 28
const RTM_DELNEIGH = 29
const RTM_GETNEIGH = 30
export const RTNLGRP_NEIGH = 3

/** <linux/neighbour.h> */
const NDA_DST = 1
const NDA_LLADDR = 2
const NTF_USE = 1 << 0
const NUD_NONE = 0x00
const NUD_REACHABLE = 0x02
const NUD_NOARP = 0x40
const NUD_PERMANENT = 0x80

// <linux/neighbour.h>                             offset
// struct ndmsg {
//   __u8 ndm_family, ndm_pad1; __u16 ndm_pad2;    0, 1, 2
//   __s32 ndm_ifindex;                            4
//   __u16 ndm_state; __u8 ndm_flags, ndm_type;    8, 10, 11
// };                                              12 bytes
const SIZEOF_NDMSG = 12

const ndMsg = (addr: Addr, index: number, flags = 0): Buffer => {
  const header = Buffer.alloc(SIZEOF_NDMSG)
  header[0] = addressFamily(addr.family)
  header.writeInt32LE(index, 4)
  header.writeUInt16LE(NUD_NONE, 8)
  header[10] = flags
  return header
}

type Place = { readonly index: number; readonly name: string }

/** Has the kernel ask who has an address, by ARP or neighbour discovery. Equivalent to: `ip neigh add $addr dev $link use`. */
export const neighUse = (nl: NetlinkSocket, link: Place, addr: Addr): void => {
  nl.request(`ask on "${link.name}" who has ${formatAddr(addr)}`, {
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE,
    body: messageBody(ndMsg(addr, link.index, NTF_USE), [[NDA_DST, addrBytes(addr)]]),
  })
}

/** Forgets what is known of a neighbour; nothing known is no failure. Equivalent to: `ip neigh del $addr dev $link`. */
export const neighDel = (nl: NetlinkSocket, link: Place, addr: Addr): void => {
  unlessRefused(['ENOENT', 'ENODEV'], () =>
    nl.request(`forget neighbour ${formatAddr(addr)} on "${link.name}"`, {
      type: RTM_DELNEIGH,
      body: messageBody(ndMsg(addr, link.index), [[NDA_DST, addrBytes(addr)]]),
    }),
  )
}

/** The MAC of a neighbour that has answered lately; undefined if none has. Needs Linux 5.0. */
const neighGet = (nl: NetlinkSocket, link: Place, addr: Addr): Mac | undefined => {
  const replies = unlessRefused(['ENOENT'], () =>
    nl.request(`look up neighbour ${formatAddr(addr)} on "${link.name}"`, {
      type: RTM_GETNEIGH,
      body: messageBody(ndMsg(addr, link.index), [[NDA_DST, addrBytes(addr)]]),
    }),
  )
  const reply = replies?.find(({ type }) => type === RTM_NEWNEIGH)
  if (!reply || !(reply.data.readUInt16LE(8) & NUD_REACHABLE)) return undefined
  const mac = readAttributes(reply.data, SIZEOF_NDMSG).get(NDA_LLADDR)
  return mac && formatMac(mac)
}

/** A neighbour that packets are sent to without asking for it again. */
export type Neighbour = { readonly index: number; readonly addr: Addr; readonly mac: Mac }

/** All neighbours that are set by hand or have answered lately. Equivalent to: `ip neigh show nud permanent nud …`. */
export const neighList = (nl: NetlinkSocket): Neighbour[] =>
  nl
    .dump('list the neighbours', { type: RTM_GETNEIGH, body: messageBody(Buffer.alloc(SIZEOF_NDMSG), []) })
    .flatMap(({ type, data }) => {
      const isCertain = (data.readUInt16LE(8) & (NUD_REACHABLE | NUD_NOARP | NUD_PERMANENT)) !== 0
      if (type !== RTM_NEWNEIGH || !isCertain) return []
      const attributes = readAttributes(data, SIZEOF_NDMSG)
      const dst = attributes.get(NDA_DST)
      const mac = attributes.get(NDA_LLADDR)
      const addr = dst && addrFromBytes(dst)
      return addr && mac ? [{ index: data.readInt32LE(4), addr, mac: formatMac(mac) }] : []
    })

/**
 * Waits until one of the neighbours was asked for successfully, or `seconds` have passed; answers those that have
 * answered. `events` must have listened to RTNLGRP_NEIGH before they were asked for.
 */
export const waitForNeighs = (
  nl: NetlinkSocket,
  events: EventSocket,
  link: Place,
  { addrs, seconds }: { addrs: readonly Addr[]; seconds: number },
): { addr: Addr; mac: Mac }[] => {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const found = addrs.flatMap(addr => {
      const mac = neighGet(nl, link, addr)
      return mac ? [{ addr, mac }] : []
    })
    const left = (deadline - performance.now()) / 1000
    if (found.length > 0 || left <= 0) return found
    try {
      events.next('wait for neighbours', left)
    } catch (error) {
      // More was announced than the socket holds: the neighbours are looked up again in any case.
      if (!isFrom(error, 'netlink', 'ENOBUFS')) throw error
    }
  }
}
