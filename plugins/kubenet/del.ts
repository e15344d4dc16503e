import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { parseResult } from '../../src/cni/result'
import { type Addr, parseAddr } from '../../src/ip/addr'
import { readHostLocalConf } from '../host-local/config'
import { holdingOf, ownerOf, readLeases, roomsOf } from '../host-local/network'
import { forgetFlowsToPod } from '../portmap/conntrack'
import { eraseAttachment, ownerOfCall, portsOfCall } from './attachment'
import { chooseBackend } from './backend'
import { type KubenetConf, readKubenetConf } from './config'
import { bridgeConf, callOf, parts } from './parts'

const resultAddresses = (call: Call): Addr[] => {
  const { prevResult } = call.conf
  if (prevResult === undefined) return []
  try {
    return parseResult(prevResult, call.version, 'prevResult').ips.map(({ address }) => address.addr)
  } catch {
    return [] // a broken cache must not keep anything from being cleaned; the leases tell too
  }
}

/** The addresses the attachment has: from its result, and from its leases where that is not known. */
const addressesOf = async (call: Call, conf: KubenetConf): Promise<Addr[]> => {
  const known = resultAddresses(call)
  if (known.length > 0) return known
  const ipam = callOf(call, bridgeConf(conf, { masquerade: false }))
  const leased = await readLeases(roomsOf(readHostLocalConf(ipam)), leases =>
    holdingOf(leases, ownerOf(ipam)),
  )
  return (leased?.addresses ?? []).flatMap(address => parseAddr(address) ?? [])
}

/** Takes the pod out of the ruleset, and has the kernel forget the UDP flows that led to it. */
const removeFromRuleset = async (
  call: Call,
  conf: KubenetConf,
  addresses: readonly Addr[],
): Promise<void> => {
  await eraseAttachment(ownerOfCall(call, conf), addresses)
  const udp = portsOfCall(call)
    .mappings.filter(({ protocol }) => protocol === 'udp')
    .map(({ hostPort }) => hostPort)
  for (const addr of addresses) forgetFlowsToPod(addr.family, addr, udp)
}

export const del = async (call: Call): Promise<void> => {
  const conf = readKubenetConf(call)
  const masquerade = chooseBackend(conf) === 'iptables'
  let addresses: Addr[] = []
  await runAll([
    // Before bridge, whose IPAM plugin gives the leases back.
    async () => {
      addresses = await addressesOf(call, conf)
    },
    () => parts.bandwidth.del(callOf(call, { type: 'bandwidth' })),
    () => parts.bridge.del(callOf(call, bridgeConf(conf, { masquerade }))),
    () =>
      masquerade
        ? parts.portmap.del(callOf(call, { type: 'portmap', backend: 'iptables' }))
        : removeFromRuleset(call, conf, addresses),
  ])
}
