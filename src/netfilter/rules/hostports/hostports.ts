import type { Claimed } from '../../../../plugins/portmap/claims'
import type { PortmapConf } from '../../../../plugins/portmap/config'
import type { InstalledRules } from '../../../../plugins/portmap/owners'
import type { Subject } from '../../../../plugins/portmap/whose'
import type { Attachment } from '../../../attachment/attachment'
import { runAll } from '../../../cni/error'
import { type Backend, backends } from '../../backend'
import * as iptables from './iptables'
import { checkPortsIptables } from './iptables-missing'
import * as nftables from './nft'
import { checkPortsNftables } from './nft-missing'

/** Who is to stay and who is to go when a network is cleaned up. */
export type Collection = {
  readonly network: string
  /** The attachments whose rules stay. */
  readonly kept: readonly Attachment[]
  /** The attachments known to be gone; rules may name others. */
  readonly gone: readonly Going[]
}

/** An attachment whose rules go, and those its record names; where that is silent, everything is looked through. */
export type Going = { readonly subject: Subject; readonly rules: InstalledRules | undefined }

/** An attachment whose rules come: what is known, and who hears of them. */
export type Opening = {
  readonly claimed: Claimed
  /** Has another interface of the container this address? */
  readonly isElsewhere: (address: string) => boolean
  /** Hears of the rules there are by now, each time some are added. */
  readonly note: (rules: InstalledRules) => void
}

/** What either way of programming the packet filter does for portmap. */
type PortBackend = {
  /** The rules `forward` is going to make, as far as they can be told before. */
  plan(conf: PortmapConf, claimed?: Claimed): InstalledRules
  /** Opens the container's ports, in place of those it had before. */
  forward(conf: PortmapConf, opening: Opening): Promise<void>
  /** Throws unless the rules of `forward` are there. */
  check(conf: PortmapConf): Promise<void>
  /** Removes all rules of an attachment; none there is no failure. */
  unforward(going: Going): Promise<void>
  /** Removes the rules of a network's attachments that are gone. */
  collect(collection: Collection): Promise<void>
  /** Throws the reason if the backend can't be used on this host. */
  probe(conf: PortmapConf): Promise<void>
}

const implementations: Record<Backend, PortBackend> = {
  iptables: {
    plan: iptables.plannedIptables,
    forward: iptables.forwardPortsIptables,
    check: checkPortsIptables,
    unforward: iptables.unforwardPortsIptables,
    collect: iptables.collectPortsIptables,
    probe: iptables.probeIptables,
  },
  nftables: {
    plan: nftables.plannedNftables,
    forward: nftables.forwardPortsNftables,
    check: checkPortsNftables,
    unforward: nftables.unforwardPortsNftables,
    collect: nftables.collectPortsNftables,
    probe: nftables.probeNftables,
  },
}

export const forBackend = (name: Backend): PortBackend => implementations[name]

/** Does the same with each backend, also when one of them fails: rules may be of an earlier configuration. */
export const forEveryBackend = (work: (backend: PortBackend) => Promise<void>): Promise<void> =>
  runAll(backends.map(name => () => work(implementations[name])))
