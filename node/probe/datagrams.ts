/** A datagram of UDP and its answer, between two namespaces of this node. */
import { type Addr, formatAddr } from '../../src/ip/addr'
import type { Netns } from '../../src/netns/netns'
import { anyAddress, type Endpoint, endpointText, IpSocket, MSG_DONTWAIT, SOCK_DGRAM } from './socket'

/** <linux/in.h> */
const IPPROTO_UDP = 17
const udp = { type: SOCK_DGRAM, protocol: IPPROTO_UDP }

/** The sender, the address, and the receiver with its port. */
export type Exchange = {
  readonly from: Netns
  readonly to: Endpoint
  readonly server: Netns
  /** The port it listens on, where that is not the one sent to. */
  readonly serverPort?: number
  /** The bytes of UDP's payload. */
  readonly size?: number
}

const defaultSize = 32

/** A socket for what is sent to a port of a namespace. */
export const listen = (netns: Netns, { addr: { family }, port }: Endpoint): IpSocket =>
  IpSocket.open(netns, { ...udp, bound: anyAddress(family, port) })

/** A socket that sends from a namespace to an address, and receives from there alone. */
export const connectTo = (netns: Netns, to: Endpoint): IpSocket => {
  const socket = IpSocket.open(netns, { ...udp, bound: anyAddress(to.addr.family, 0) })
  try {
    socket.connect(to)
    return socket
  } catch (error) {
    socket.close()
    throw error
  }
}

/** How an exchange ended: why it failed, or the address the server saw it come from. */
type Exchanged = { readonly failure: string } | { readonly seenFrom: Addr }

const failed = (failure: string): Exchanged => ({ failure })

/** Sends one datagram there and one back. */
export const exchange = ({
  from,
  to,
  server,
  serverPort = to.port,
  size = defaultSize,
}: Exchange): Exchanged => {
  const listening = listen(server, { addr: to.addr, port: serverPort })
  try {
    const client = connectTo(from, to)
    try {
      client.send(Buffer.alloc(size, 'k'))
      const asked = listening.receive()
      if (!asked) return failed(whyNot(client, to))
      if (asked.data.length !== size) return failed(`${asked.data.length} of ${size} bytes arrived`)
      listening.connect(asked.from)
      listening.send(asked.data)
      if (client.receive()?.data.length === size) return { seenFrom: asked.from.addr }
      return failed(`the reply of ${endpointText(to)} to ${formatAddr(asked.from.addr)} does not arrive`)
    } finally {
      client.close()
    }
  } finally {
    listening.close()
  }
}

/** Why nothing arrived: an ICMP error that came back, if any. */
const whyNot = (client: IpSocket, to: Endpoint): string => {
  try {
    client.receive(MSG_DONTWAIT)
  } catch (error) {
    if (error instanceof Error) return `${endpointText(to)}: ${error.message.replace(/^receive: /, '')}`
    throw error
  }
  return `packets to ${endpointText(to)} do not arrive`
}

const measuredMs = 500
/** Payload of one datagram: what the smallest usual MTU of a tunnel still holds. */
const payload = 1200
const packetsAtOnce = 16

/**
 * The bits a second that arrive from one namespace in another, beyond those of `burstBits`: datagrams are sent for half
 * a second, and those that arrive are counted.
 */
export const measureRate = (
  { from, to, server }: { from: Netns; to: Endpoint; server: Netns },
  burstBits: number,
): number => {
  const listening = listen(server, to)
  try {
    const client = connectTo(from, to)
    try {
      const data = Buffer.alloc(payload, 'k')
      let bits = 0
      const take = () => {
        for (let length = listening.tryReceiveLength(); length !== undefined; ) {
          bits += length * 8
          length = listening.tryReceiveLength()
        }
      }
      const began = performance.now()
      while (performance.now() - began < measuredMs) {
        for (let i = 0; i < packetsAtOnce && client.trySend(data); i++);
        take()
      }
      return (Math.max(0, bits - burstBits) * 1000) / measuredMs
    } finally {
      client.close()
    }
  } finally {
    listening.close()
  }
}
