/** Whether the cluster's agent is at work on this node, and the routes it keeps. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type Check, fault, orOk } from './diagnosis'

const agentName = 'kubenet-agent'

/** How kubenet-agent marks its routes: `ip route show proto 107`. */
const agentProtocol = 107

const textAt = (read: () => string): string => {
  try {
    return read().trim()
  } catch {
    return '' // it has ended meanwhile, or may not be looked at
  }
}

/** Does an agent run in this network namespace? One in a container is seen from the host alone. */
export const agentRuns = (): boolean => {
  const own = textAt(() => readlinkSync('/proc/self/ns/net'))
  return readdirSync('/proc').some(
    pid =>
      /^\d+$/.test(pid) &&
      textAt(() => readFileSync(`/proc/${pid}/comm`, 'utf8')) === agentName &&
      textAt(() => readlinkSync(`/proc/${pid}/ns/net`)) === own,
  )
}

/**
 * The agent's routes to other nodes. Where pods have both families every node has a route of each to every other; a node
 * with an InternalIP of one family alone gets none of the other.
 */
const nodeRoutes: Check = ({ survey: { readings } }) => {
  const own = readings.routes.filter(({ protocol }) => protocol === agentProtocol)
  if (own.length === 0) return []
  const counted = ([4, 6] as const).map(family => ({
    family,
    routes: own.filter(({ dst }) => dst.addr.family === family).length,
    isUsed: readings.networks.some(({ kubenet }) =>
      kubenet?.podCIDRs.some(({ addr }) => addr.family === family),
    ),
  }))
  const most = Math.max(...counted.map(({ routes }) => routes))
  const few = counted.filter(({ routes, isUsed }) => isUsed && routes < most)
  return orOk(
    few.map(({ family, routes }) =>
      fault('KN0030', {
        says: `${routes} routes of IPv${family} to other nodes' pods, and ${most} of the other family: pods of some nodes are not reached by IPv${family}`,
        remedy: `give every node an InternalIP of IPv${family} (kubelet's --node-ip takes one of each family); the agent's log names the nodes`,
      }),
    ),
    'node routes',
    `${most} nodes' pods have a route in every family`,
  )
}

export const agentChecks: readonly Check[] = [nodeRoutes]
