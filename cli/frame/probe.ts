/** Probing networks with containers made for it: what "kubenet test" and "kubenet doctor --probe" do. */

import { failureOf, formatFailure } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import type { Places } from '../../node/command/places'
import { type Probe, probeNetwork } from '../../node/probe/probe-network'
import { isFrom } from '../../src/host/system-error'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { runtimeOptions } from './networks'
import { withProgress } from './progress'

/** What came of a network's probes. */
export type Tested = {
  readonly network: string
  /** Why the two containers could not be attached or deleted; empty if they could. */
  readonly failure: string
  readonly probes: readonly Probe[]
}

export const isFine = ({ failure, probes }: Tested): boolean =>
  failure === '' && probes.every(({ outcome }) => outcome !== 'fails')

/** A network that has pods: that of the loopback plugin connects nothing. */
export const hasPods = ({ plugins }: NetworkConfigList): boolean =>
  plugins.some(({ type }) => type !== 'loopback')

/** Tries one network after the other. Throws if it was interrupted. */
export const probeNetworks = async (
  lists: readonly NetworkConfigList[],
  places: Places,
  io: CliIo,
): Promise<Tested[]> => {
  const tested: Tested[] = []
  for (const list of lists) {
    try {
      const probes = await withProgress(io, `probing network "${list.name}"`, tell =>
        probeNetwork(list, runtimeOptions(places, io), tell),
      )
      tested.push({ network: list.name, failure: '', probes })
    } catch (error) {
      if (isFrom(error, 'signal')) throw error
      tested.push({ network: list.name, failure: formatFailure(failureOf(error)), probes: [] })
    }
  }
  return tested
}
