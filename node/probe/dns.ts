/** The name servers of a pod, and whether one replies. */
import { readFileSync } from 'node:fs'
import { type Addr, formatAddr, isLoopback, parseAddr } from '../../src/ip/addr'
import type { Netns } from '../../src/netns/netns'
import { connectTo } from './datagrams'

const dnsPort = 53

// Where systemd-resolved listens for the node alone, and keeps those that it asks itself. kubelet's --resolv-conf is the
// second file on such a node.
const stub = '127.0.0.53'
const resolvConf = '/etc/resolv.conf'
const resolvedConf = '/run/systemd/resolve/resolv.conf'

const serversOf = (path: string): Addr[] => {
  try {
    const lines = readFileSync(path, 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm)
    return [...lines].flatMap(([, text = '']) => parseAddr(text) ?? [])
  } catch {
    return []
  }
}

/** The name servers of the node that are not on the node's own loopback interface. */
export const nameServers = (): Addr[] => {
  const servers = serversOf(resolvConf)
  const theirs = servers.some(server => formatAddr(server) === stub) ? serversOf(resolvedConf) : []
  return [...servers, ...theirs].filter(server => !isLoopback(server))
}

/** RFC 1035, section 4.1: a question for the name servers of the root, which every server can answer or refuse. */
const question = (id: number): Buffer =>
  Buffer.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1])

/** Asks a name server from a namespace; why there is no answer, undefined if there is one. */
export const askNameServer = (from: Netns, server: Addr): string | undefined => {
  const socket = connectTo(from, { addr: server, port: dnsPort })
  try {
    const id = Math.floor(Math.random() * 0x1_0000)
    socket.send(question(id))
    const answer = socket.receive()
    return answer && answer.data.length >= 12 && answer.data.readUInt16BE(0) === id
      ? undefined
      : `${formatAddr(server)} does not answer on port 53`
  } finally {
    socket.close()
  }
}
