import { runAll } from '../../src/cni/error'
import { type Backend, backends } from '../../src/netfilter/backend'
import type { PortmapConf } from './config'
import * as iptables from './iptables'
import * as nftables from './nftables'

/** What either way of programming the packet filter does for portmap. */
export type PortBackend = {
  /** Opens the container's ports. `repeated`: the container may have rules already, which are replaced. */
  forward(conf: PortmapConf, repeated: boolean): Promise<void>
  /** Throws unless the rules of `forward` are there. */
  check(conf: PortmapConf): Promise<void>
  /** Removes all rules of a container; none there is no failure. */
  unforward(network: string, containerID: string): Promise<void>
  /** The containers of a network that have rules. */
  containers(network: string): Promise<ReadonlySet<string>>
  /** Throws the reason if the backend can't be used on this host. */
  probe(): Promise<void>
}

const implementations: Record<Backend, PortBackend> = {
  iptables: {
    forward: iptables.forwardPortsIptables,
    check: iptables.checkPortsIptables,
    unforward: iptables.unforwardPortsIptables,
    containers: iptables.mappedContainersIptables,
    probe: iptables.probeIptables,
  },
  nftables: {
    forward: nftables.forwardPortsNftables,
    check: nftables.checkPortsNftables,
    unforward: (_, containerID) => nftables.unforwardPortsNftables(containerID),
    // Its comments name the container alone; the records of claimed ports tell the network.
    containers: async () => new Set(),
    probe: nftables.probeNftables,
  },
}

export const forBackend = (name: Backend): PortBackend => implementations[name]

/** Does the same with each backend, also when one of them fails: rules may be of an earlier configuration. */
export const forEveryBackend = (work: (backend: PortBackend) => Promise<void>): Promise<void> =>
  runAll(backends.map(name => () => work(implementations[name])))
