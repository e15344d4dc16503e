import type { LeaseOwner } from '../../src/attachment/lease'
import type { Call } from '../../src/cni/plugin'
import { thisHost } from '../../src/life/host-view'
import type { HostLocalConf } from './config'
import { Cooldown } from './cooldown'
import { type Holding, type LeaseFolders, Leases } from './leases'
import { RecordStore } from './record'
import { LeaseStore } from './store'

/** Where the leases of a configured network are. */
export const leaseFoldersOf = ({
  dataDir,
  network,
  cooldownSeconds,
}: Pick<HostLocalConf, 'dataDir' | 'network' | 'cooldownSeconds'>): LeaseFolders => ({
  store: new LeaseStore(dataDir, network),
  records: new RecordStore(dataDir, network),
  cooldown: new Cooldown(dataDir, network, cooldownSeconds),
  here: thisHost(),
})

/** Looks at a network's leases under its lock. */
export const readLeases = <T>(
  leaseFolders: LeaseFolders,
  work: (leases: Leases) => T | Promise<T>,
): Promise<T> => leaseFolders.store.locked(() => work(new Leases(leaseFolders)))

/** Works on a network's leases under its lock. A failure leaves the folders unmarked. */
export const changeLeases = <T>(
  leaseFolders: LeaseFolders,
  work: (leases: Leases) => T | Promise<T>,
): Promise<T> =>
  readLeases(leaseFolders, async leases => {
    leases.tidy()
    const answer = await work(leases)
    leases.finish()
    return answer
  })

/** The attachment a call is about. */
export const ownerOf = ({ env }: Call): LeaseOwner => ({ containerID: env.containerID, ifName: env.ifName })

/**
 * The addresses of the attachment; else what its container has from a version of the reference that noted no interface.
 */
export const holdingOf = (leases: Leases, owner: LeaseOwner): Holding | undefined =>
  leases.of(owner) ?? leases.of({ ...owner, ifName: undefined })

/** Takes addresses back that an ADD leased, and nothing else that the attachment has. */
export const giveBack = (
  leaseFolders: LeaseFolders,
  owner: LeaseOwner,
  addresses: readonly string[],
): Promise<void> =>
  changeLeases(leaseFolders, leases => {
    const holding = leases.of(owner)
    if (!holding) return
    const kept = holding.addresses.filter(address => !addresses.includes(address))
    leases.release({ ...holding, addresses: holding.addresses.filter(address => !kept.includes(address)) })
    if (kept.length > 0) leases.note(owner, kept, undefined)
  })
