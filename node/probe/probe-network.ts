/** Do packets go where a network promises? Tried with real ones, between containers made for it, the node, and beyond. */

import type { JsonObject } from '../../src/cni/schema'
import { throwIfInterrupted } from '../../src/host/interrupt'
import { isFrom } from '../../src/host/system-error'
import { type Addr, type Family, formatAddr } from '../../src/ip/addr'
import { closeNetns, type Netns, openOwnNetns } from '../../src/netns/netns'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import type { RuntimeOptions } from '../../src/runtime/run-plugin'
import { type ProbeContainer, withContainers } from './containers'
import { type Exchange, exchange, listen, measureRate } from './datagrams'
import { askNameServer, nameServers } from './dns'
import { echo } from './echo'
import { anyAddress } from './socket'
import { type Uplink, uplinkOf } from './uplink'

/** "unknown": the node itself gets no answer there either, so nothing follows for its pods. */
type Outcome = 'works' | 'fails' | 'unknown' | 'skipped'

export type Probe = {
  /** "pod to pod", … */
  readonly probe: string
  readonly family: Family
  readonly outcome: Outcome
  /** Where to, or why not. */
  readonly details: string
}

type Verdict = Pick<Probe, 'outcome' | 'details'>

const works = (details: string): Verdict => ({ outcome: 'works', details })
const fails = (details: string): Verdict => ({ outcome: 'fails', details })
const skipped = (details: string): Verdict => ({ outcome: 'skipped', details })

/** The objects of the probes of one family. */
type Scene = {
  readonly family: Family
  readonly list: NetworkConfigList
  readonly node: Netns
  readonly client: ProbeContainer
  readonly server: ProbeContainer
  readonly serverAddr: Addr
  readonly gateway: Addr | undefined
  readonly uplink: Uplink | undefined
  readonly hostPort: number
}

/** Ports of the containers, and from where on one of the node is chosen: below NodePorts and those of connections. */
const podPort = 7777
const ratePort = 7778
const firstHostPort = 28_000
const hostPorts = 2_000

const podRate = 8_000_000
const podBurst = 800_000
/** The kernel's clock and the packets on their way: a limit that holds stays below. */
const rateTolerance = 1.3

/** Bytes of the headers of IP and UDP. */
const headers: Record<Family, number> = { 4: 20 + 8, 6: 40 + 8 }

const declares = ({ plugins }: NetworkConfigList, capability: string): boolean =>
  plugins.some(({ capabilities }) => capabilities.includes(capability))

const isIsolated = ({ plugins }: NetworkConfigList): boolean =>
  plugins.some(({ raw }) => raw.portIsolation === true)

const exchanged = (to: string, parameters: Exchange): Verdict => {
  const result = exchange(parameters)
  return 'failure' in result ? fails(result.failure) : works(to)
}

/** A question without an answer: why there is none, as it was said or thrown; undefined if there is one. */
type Ask = (from: Netns) => string | undefined

const failureOf = (ask: Ask, from: Netns): string | undefined => {
  try {
    return ask(from)
  } catch (error) {
    if (isFrom(error, 'socket')) return error.message
    throw error
  }
}

/** A missing answer to a pod is a fault only if the node gets one. */
const answered = (to: string, ask: Ask, { client, node }: Scene): Verdict => {
  const failure = failureOf(ask, client.netns)
  if (failure === undefined) return works(to)
  if (failureOf(ask, node) === undefined) return fails(`${failure}, but the node gets a reply`)
  return { outcome: 'unknown', details: `${to} replies neither to the pod nor to the node` }
}

const podToPod = ({ client, server, serverAddr, list }: Scene, size?: number): Verdict => {
  if (isIsolated(list)) return skipped('the network isolates its ports')
  const to = { addr: serverAddr, port: podPort }
  const sized = size === undefined ? {} : { size }
  const words = size === undefined ? formatAddr(serverAddr) : `${size} bytes, not to be fragmented`
  return exchanged(words, { from: client.netns, to, server: server.netns, ...sized })
}

const fullSize = (scene: Scene): Verdict => podToPod(scene, scene.client.mtu - headers[scene.family])

const nodeToPod = ({ node, server, serverAddr }: Scene): Verdict =>
  exchanged(formatAddr(serverAddr), {
    from: node,
    to: { addr: serverAddr, port: podPort },
    server: server.netns,
  })

const podToGateway = ({ client, gateway }: Scene): Verdict => {
  if (!gateway) return skipped('the network names no gateway')
  const failure = echo(client.netns, gateway)
  return failure === undefined ? works(formatAddr(gateway)) : fails(failure)
}

const noRoute = skipped('the node has no default route')

const podToNode = ({ client, uplink }: Scene): Verdict => {
  if (!uplink?.own) return noRoute
  const failure = echo(client.netns, uplink.own)
  return failure === undefined ? works(formatAddr(uplink.own)) : fails(failure)
}

const podToOutside = (scene: Scene): Verdict => {
  const gateway = scene.uplink?.gateway
  return gateway ? answered(formatAddr(gateway), from => echo(from, gateway), scene) : noRoute
}

const podToNameServer = (scene: Scene): Verdict => {
  const server = nameServers().find(({ family }) => family === scene.family)
  if (!server) return skipped('the node names no server that a pod could reach')
  return answered(formatAddr(server), from => askNameServer(from, server), scene)
}

const hostPortFrom =
  (from: (scene: Scene) => Netns) =>
  (scene: Scene): Verdict => {
    const { list, uplink, gateway, hostPort, server } = scene
    if (!declares(list, 'portMappings')) return skipped('the network has no host ports')
    const addr = uplink?.own ?? gateway
    if (!addr) return skipped('the node has no address to try')
    const to = { addr, port: hostPort }
    const words = `${formatAddr(addr)} port ${hostPort}`
    return exchanged(words, { from: from(scene), to, server: server.netns, serverPort: podPort })
  }

const megabits = (bits: number): string => `${(bits / 1_000_000).toFixed(1)} Mbit/s`

const rate = ({ list, node, server, serverAddr }: Scene): Verdict => {
  if (!declares(list, 'bandwidth')) return skipped('the network has no limits')
  const to = { addr: serverAddr, port: ratePort }
  const measured = measureRate({ from: node, to, server: server.netns }, podBurst)
  const words = `${megabits(measured)} of ${megabits(podRate)}`
  if (measured === 0) return fails('nothing arrives')
  return measured <= podRate * rateTolerance ? works(words) : fails(`${words}: the limit does not hold`)
}

const probes: readonly (readonly [name: string, run: (scene: Scene) => Verdict])[] = [
  ['pod to pod', podToPod],
  ['pod to pod, full MTU', fullSize],
  ['pod to its gateway', podToGateway],
  ['pod to the node', podToNode],
  ['pod to the outside', podToOutside],
  ['pod to a name server', podToNameServer],
  ['node to pod', nodeToPod],
  ['host port, from the node', hostPortFrom(({ node }) => node)],
  ['host port, from a pod', hostPortFrom(({ client }) => client.netns)],
  ['host port, from its own pod', hostPortFrom(({ server }) => server.netns)],
  ['rate to the pod', rate],
]

const verdictOf = (run: (scene: Scene) => Verdict, scene: Scene): Verdict => {
  try {
    return run(scene)
  } catch (error) {
    return fails(error instanceof Error ? error.message : String(error))
  }
}

const isFree = (node: Netns, port: number): boolean => {
  try {
    listen(node, anyAddress(4, port)).close()
    return true
  } catch (error) {
    if (isFrom(error, 'socket', 'EADDRINUSE')) return false
    throw error
  }
}

/** A port that no program of the node listens on: what is sent to that program must not come to a pod meanwhile. */
const freeHostPort = (node: Netns): number => {
  for (;;) {
    const port = firstHostPort + Math.floor(Math.random() * hostPorts)
    if (isFree(node, port)) return port
  }
}

/** The requests of the two containers: the server has all that a network offers. */
const capabilityArgsOf = (list: NetworkConfigList, hostPort: number): JsonObject => ({
  ...(declares(list, 'portMappings') && {
    portMappings: [{ hostPort, containerPort: podPort, protocol: 'udp' }],
  }),
  ...(declares(list, 'bandwidth') && {
    bandwidth: { ingressRate: podRate, ingressBurst: podBurst, egressRate: podRate, egressBurst: podBurst },
  }),
})

/**
 * Attaches two containers to a network, tries every way of their packets, and deletes them. Throws what their ADD or DEL
 * threw, and a SystemError from 'signal' if it was interrupted.
 */
export const probeNetwork = async (
  list: NetworkConfigList,
  options: RuntimeOptions,
  tell: (what: string) => void,
): Promise<Probe[]> => {
  const node = openOwnNetns()
  try {
    const hostPort = freeHostPort(node)
    const wanted = [{}, capabilityArgsOf(list, hostPort)]
    return await withContainers(list, wanted, options, async ([client, server]) => {
      const found: Probe[] = []
      for (const family of [4, 6] as const) {
        const from = client?.addresses.find(({ addr }) => addr.family === family)
        const to = server?.addresses.find(({ addr }) => addr.family === family)
        if (!client || !server || !from || !to) continue
        const scene: Scene = {
          family,
          list,
          node,
          client,
          server,
          serverAddr: to.addr,
          gateway: from.gateway,
          uplink: uplinkOf(family),
          hostPort,
        }
        for (const [probe, run] of probes) {
          throwIfInterrupted(`probing network "${list.name}"`)
          tell(`probing network "${list.name}": ${probe}`)
          found.push({ probe, family, ...verdictOf(run, scene) })
        }
      }
      return found
    })
  } finally {
    closeNetns(node)
  }
}
