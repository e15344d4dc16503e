import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/steps'
import type { Undo } from '../../src/host/undo'
import { formatAddr } from '../../src/ip/addr'
import { backends } from '../../src/netfilter/backend'
import type { InstalledRules } from '../../src/netfilter/rules/hostports/hostports'
import { addrList } from '../../src/netlink/addr'
import { linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { insideNetns } from '../../src/netns/netns'
import { type Claimed, noteRules, setUpClaims, takeDownClaims } from './claims'
import { type PortmapConf, readConf } from './config'
import { takeDownFlows } from './conntrack'
import { setUpLocalnetRouting } from './localnet'
import { hostPortRules, takeDownDead, whoseOf } from './rules'

/** Has another interface of the container this address? Not if nothing tells. */
const isElsewhereInside = ({ netns, env: { ifName } }: Call, address: string): boolean => {
  if (!netns) return false
  const nl = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    const own = linkByName(nl, ifName)?.index
    return addrList(nl).some(({ index, cidr }) => index !== own && formatAddr(cidr.addr) === address)
  } finally {
    nl.close()
  }
}

/** Opens the ports, in place of what an ADD before has left, with whichever backend. */
const openPorts = async (call: Call, conf: PortmapConf, claimed: Claimed, undo: Undo): Promise<void> => {
  const { earlier } = claimed
  const whose = whoseOf(conf, earlier)
  for (const name of backends.filter(other => other !== conf.backend)) {
    const leave = () => hostPortRules[name].takeDown({ id: conf, whose, rules: undefined })
    undo.add("remove another backend's rules of the host ports", leave)
  }
  let installed: InstalledRules | undefined
  const note = (rules: InstalledRules): void => {
    installed = rules
  }
  const isElsewhere = (address: string): boolean => isElsewhereInside(call, address)
  await hostPortRules[conf.backend].setUp({ ...conf, before: claimed, whose, isElsewhere, note }, undo)
  if (earlier?.rules && earlier.rules.backend !== conf.backend)
    await hostPortRules[earlier.rules.backend].takeDown({ id: conf, whose, rules: earlier.rules })
  if (claimed.recorded && installed) noteRules(conf, installed)
}

/** Opens the host ports of the container, if it has any. */
export const setUpPorts = async (call: Call, conf: PortmapConf, undo: Undo): Promise<void> => {
  const { mappings, addresses } = conf
  if (mappings.length === 0 || addresses.length === 0) return
  const { checkListeners } = await import('./listeners.js')
  checkListeners(conf, call)
  const claimed = await setUpClaims(call, conf, {
    rules: hostPortRules[conf.backend].plan(conf),
    takeDownDead,
  })
  // Those of an ADD before are the container's, which may run.
  if (!claimed.earlier) undo.add('free the host ports', () => takeDownClaims(conf))
  endStep('claims')
  await openPorts(call, conf, claimed, undo)
  endStep('rules')
  takeDownFlows(conf)
  for (const { addr } of addresses) if (conf.snat && addr.family === 4) setUpLocalnetRouting(addr, undo)
  endStep('flows')
}

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readConf(call)
  const { prevResult } = conf
  if (!prevResult) throw new CniError(ErrorCode.invalidNetworkConfig, 'must be called as chained plugin')
  await setUpPorts(call, conf, undo)
  return prevResult
}
