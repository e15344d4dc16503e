/** Sockets of IP as a probe uses them: each stays in the network namespace it was opened in, and waits a second at most. */
import { closeSync } from 'node:fs'
import { platform } from '#platform'
import { errnoName, errnoText } from '../../src/host/errno'
import { SystemError } from '../../src/host/system-error'
import {
  type Addr,
  addrBytes,
  addressFamily,
  addrFromBytes,
  type Family,
  formatAddr,
} from '../../src/ip/addr'
import { int32, SO_RCVTIMEO, SOCK_CLOEXEC, SOL_SOCKET, timeval } from '../../src/netlink/raw-socket'
import { insideNetns, type Netns } from '../../src/netns/netns'

/** <sys/socket.h>, <netinet/in.h> */
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const MSG_DONTWAIT = 0x40
const MSG_TRUNC = 0x20

/** <linux/in.h>, <linux/in6.h>: "do not fragment", whose values are the same in both families. */
const IPPROTO_IP = 0
const IPPROTO_IPV6 = 41
const IP_MTU_DISCOVER = 10
const IPV6_MTU_DISCOVER = 23
const IP_PMTUDISC_DO = 2

/** A packet that crosses one node is there in a millisecond; one that is dropped never comes. */
const waitSeconds = 1
const maxDatagram = 65_535

/** An address and a port of UDP; port 0 where there is none. */
export type Endpoint = { readonly addr: Addr; readonly port: number }

type Datagram = { readonly data: Buffer; readonly from: Endpoint }

/** The address of an IP endpoint as bind(2) takes it: struct sockaddr_in or sockaddr_in6. */
const sockaddr = ({ addr, port }: Endpoint): Buffer => {
  const bytes = Buffer.alloc(addr.family === 4 ? 16 : 28)
  bytes.writeUInt16LE(addressFamily(addr.family), 0)
  bytes.writeUInt16BE(port, 2)
  addrBytes(addr).copy(bytes, addr.family === 4 ? 4 : 8)
  return bytes
}

const endpointOf = (bytes: Buffer, family: Family): Endpoint => {
  const at = family === 4 ? bytes.subarray(4, 8) : bytes.subarray(8, 24)
  return { addr: addrFromBytes(at) ?? { family, bits: 0n }, port: bytes.readUInt16BE(2) }
}

/** The address with a port, an IPv6 one in brackets. */
export const endpointText = ({ addr, port }: Endpoint): string =>
  addr.family === 4 ? `${formatAddr(addr)}:${port}` : `[${formatAddr(addr)}]:${port}`

/** Any address of a family, on a port. */
export const anyAddress = (family: Family, port: number): Endpoint => ({ addr: { family, bits: 0n }, port })

export class IpSocket {
  readonly #fd: number
  readonly #family: Family

  private constructor(fd: number, family: Family) {
    this.#fd = fd
    this.#family = family
  }

  /** Opens a socket in a namespace, bound to an address. Throws a SystemError from 'socket'. */
  static open(
    netns: Netns,
    { type, protocol, bound }: { type: number; protocol: number; bound: Endpoint },
  ): IpSocket {
    const { family } = bound.addr
    const fd = insideNetns(netns, () =>
      platform.libc.socket(addressFamily(family), type | SOCK_CLOEXEC, protocol),
    )
    const socket = new IpSocket(check('open a socket', fd), family)
    try {
      socket.#set(SOL_SOCKET, SO_RCVTIMEO, timeval(waitSeconds))
      const [level, name] = family === 4 ? [IPPROTO_IP, IP_MTU_DISCOVER] : [IPPROTO_IPV6, IPV6_MTU_DISCOVER]
      socket.#set(level, name, int32(IP_PMTUDISC_DO))
      check(`bind ${endpointText(bound)}`, platform.libc.bind(fd, sockaddr(bound)))
      return socket
    } catch (error) {
      socket.close()
      throw error
    }
  }

  #set(level: number, name: number, value: Buffer): void {
    check('set an option of a socket', platform.libc.setsockopt(this.#fd, level, name, value))
  }

  /** From now on it sends there, and receives from there alone. */
  connect(to: Endpoint): void {
    check(`send to ${endpointText(to)}`, platform.libc.connect(this.#fd, sockaddr(to)))
  }

  /** Sends one datagram to where it is connected. */
  send(data: Uint8Array): void {
    check(`send ${data.length} bytes`, platform.libc.send(this.#fd, data, 0))
  }

  /** Sends one if there is room for it now; was there? */
  trySend(data: Uint8Array): boolean {
    return platform.libc.send(this.#fd, data, MSG_DONTWAIT) >= 0
  }

  /** What has come, or comes within a second; undefined if nothing does. */
  receive(flags = 0): Datagram | undefined {
    const buffer = Buffer.alloc(maxDatagram)
    const sender = Buffer.alloc(28)
    const length = platform.libc.recvfrom(this.#fd, buffer, flags, sender, int32(sender.length))
    if (length < 0 && ['EAGAIN', 'EINTR'].includes(errnoName(length))) return undefined
    check('receive', length)
    return { data: buffer.subarray(0, length), from: endpointOf(sender, this.#family) }
  }

  /** The length of what has come; undefined if nothing has. Its bytes are dropped. */
  tryReceiveLength(): number | undefined {
    const { libc } = platform
    const length = libc.recvfrom(
      this.#fd,
      Buffer.alloc(1),
      MSG_DONTWAIT | MSG_TRUNC,
      Buffer.alloc(28),
      int32(28),
    )
    return length < 0 ? undefined : length
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/** Passes an answer of the kernel on; throws a SystemError in words if it is an error. */
const check = (what: string, answer: number): number => {
  if (answer >= 0) return answer
  const code = errnoName(answer)
  throw new SystemError('socket', { message: `${what}: ${errnoText(code) || code}`, code })
}
