import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { type Addr, parseAddr } from '../../src/ip/addr'
import type { Going } from '../../src/netfilter/rules/hostports/hostports'
import { ownerOf, takeDownClaims, udpPortsOf } from './claims'
import { readConf } from './config'
import { takeDownFlowsToPod } from './conntrack'
import type { PortOwner } from './records'
import { goingOf, whoseOf, withEveryBackend } from './rules'

/** Removes an attachment's rules, whatever this call's configuration says: ADD may have had another. */
const removeRules = (going: Going): Promise<void> => withEveryBackend(rules => rules.takeDown(going))

/** The addresses a container's ports led to, as far as its record has them. */
const addressesOf = (owner: PortOwner | undefined): Addr[] =>
  (owner?.addresses ?? []).flatMap(text => parseAddr(text) ?? [])

const takeDownFlows = (addresses: readonly Addr[], udpPorts: readonly number[]): void => {
  for (const family of [4, 6] as const) {
    const pod = addresses.find(addr => addr.family === family)
    takeDownFlowsToPod(family, pod, udpPorts)
  }
}

/** After the rules, so that what is forgotten does not come back by them. */
export const takeDownFlowsOf = (owner: PortOwner): void =>
  takeDownFlows(addressesOf(owner), udpPortsOf(owner))

/** Removes what is left of an attachment that is gone, except for its claims. */
export const takeDownDead = (owner: PortOwner): Promise<void> =>
  runAll([() => removeRules(goingOf(owner)), () => takeDownFlowsOf(owner)])

export const del = async (call: Call): Promise<void> => {
  const conf = readConf(call)
  const owner = ownerOf(conf)
  const known = conf.addresses.map(({ addr }) => addr)
  const udpPorts = conf.mappings.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort)
  let hasRules = true
  await runAll([
    async () => {
      await removeRules({ id: conf, whose: whoseOf(conf, owner), rules: owner?.rules })
      hasRules = false
    },
    () =>
      takeDownFlows(known.length > 0 ? known : addressesOf(owner), [
        ...udpPorts,
        ...(owner ? udpPortsOf(owner) : []),
      ]),
    // The next owner of a port would get none of its connections while old rules lead elsewhere.
    async () => {
      if (!hasRules) await takeDownClaims(conf)
    },
  ])
}
