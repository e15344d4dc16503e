/** An ICMP echo: what ping(8) sends. RFC 792, RFC 4443. */
import { type Addr, type Family, formatAddr } from '../../src/ip/addr'
import type { Netns } from '../../src/netns/netns'
import { anyAddress, IpSocket, SOCK_RAW } from './socket'

/** <linux/in.h>, <linux/icmp.h>, <linux/icmpv6.h> */
const protocols: Record<Family, number> = { 4: 1, 6: 58 }
const requests: Record<Family, number> = { 4: 8, 6: 128 }
const replies: Record<Family, number> = { 4: 0, 6: 129 }

const headerBytes = 8

/** RFC 1071. The kernel does it for IPv6. */
const checksum = (bytes: Buffer): number => {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return ~sum & 0xffff
}

const requestOf = (family: Family, id: number): Buffer => {
  const bytes = Buffer.alloc(headerBytes)
  bytes[0] = requests[family]
  bytes.writeUInt16BE(id, 4)
  if (family === 4) bytes.writeUInt16BE(checksum(bytes), 2)
  return bytes
}

/** A packet from a raw socket of IPv4 begins with its own header, which has its length. */
const messageOf = (data: Buffer, family: Family): Buffer =>
  family === 4 ? data.subarray(((data[0] ?? 0) & 0xf) * 4) : data

/** How many other messages of ICMP may come before the answer: on a node they are many. */
const mostOthers = 100

/** Sends an echo request from a namespace; why there is no answer, undefined if there is one. */
export const echo = (from: Netns, to: Addr): string | undefined => {
  const { family } = to
  const socket = IpSocket.open(from, {
    type: SOCK_RAW,
    protocol: protocols[family],
    bound: anyAddress(family, 0),
  })
  try {
    // Two processes that probe at a time must not take each other's answers for theirs.
    const id = Math.floor(Math.random() * 0x1_0000)
    socket.connect({ addr: to, port: 0 })
    socket.send(requestOf(family, id))
    for (let others = 0; others < mostOthers; others++) {
      const received = socket.receive()
      if (!received) break
      const message = messageOf(received.data, family)
      if (message[0] === replies[family] && message.readUInt16BE(4) === id) return undefined
    }
    return `${formatAddr(to)} does not answer an echo request (ping)`
  } finally {
    socket.close()
  }
}
