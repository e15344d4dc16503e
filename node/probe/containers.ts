/** Containers that are there for a probe alone: a network namespace without a name each, attached as a runtime does it. */

import { CniError } from '../../src/cni/error'
import { parseResult } from '../../src/cni/result'
import type { JsonObject } from '../../src/cni/schema'
import { ignoreInterrupts } from '../../src/host/interrupt'
import type { Addr } from '../../src/ip/addr'
import { linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { closeNetns, insideNetns, makeNetns, type Netns } from '../../src/netns/netns'
import { addNetworkList } from '../../src/runtime/add'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { delNetworkList } from '../../src/runtime/del'
import type { RuntimeOptions } from '../../src/runtime/run-plugin'

const ifName = 'eth0'

/** One address of a container, and its gateway. */
type OwnAddress = { readonly addr: Addr; readonly gateway: Addr | undefined }

export type ProbeContainer = {
  readonly netns: Netns
  readonly addresses: readonly OwnAddress[]
  readonly mtu: number
}

const mtuIn = (netns: Netns): number => {
  const nl = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    return linkByName(nl, ifName)?.mtu ?? 0
  } finally {
    nl.close()
  }
}

/** Six random hex digits. */
const digits = (): string =>
  Math.floor(Math.random() * 0x100_0000)
    .toString(16)
    .padStart(6, '0')

const newContainerID = (): string => `kubenet-test-${digits()}${digits()}`

/**
 * Attaches a container for each of `capabilityArgs` to a network, does the work, and deletes them whatever came of it.
 * Throws what ADD or DEL threw. A process that is killed leaves what a container leaves whose namespace is gone: for GC.
 */
export const withContainers = async <T>(
  list: NetworkConfigList,
  capabilityArgs: readonly JsonObject[],
  options: RuntimeOptions,
  work: (containers: readonly ProbeContainer[]) => Promise<T>,
): Promise<T> => {
  const made: { readonly netns: Netns; readonly containerID: string }[] = []
  const failures: unknown[] = []
  let answer: { readonly of: T } | undefined
  try {
    const containers: ProbeContainer[] = []
    for (const capabilities of capabilityArgs) {
      const netns = makeNetns()
      const containerID = newContainerID()
      made.push({ netns, containerID })
      const parameters = { containerID, ifName, netns: netns.path, capabilityArgs: capabilities }
      const added = await addNetworkList(list, parameters, options)
      const { ips } = parseResult(added, list.cniVersion, 'the result')
      const addresses = ips.map(({ address, gateway }) => ({ addr: address.addr, gateway }))
      containers.push({ netns, addresses, mtu: mtuIn(netns) })
    }
    answer = { of: await work(containers) }
  } catch (error) {
    failures.push(error)
  }
  ignoreInterrupts()
  for (const { netns, containerID } of made) {
    try {
      await delNetworkList(list, { containerID, ifName, netns: netns.path }, options)
    } catch (error) {
      failures.push(error)
    }
    closeNetns(netns)
  }
  if (answer && failures.length === 0) return answer.of
  throw failures.length === 1 ? failures[0] : CniError.join(failures)
}
