import type { Cidr } from '../ip/cidr'
import { hasIptables } from './iptables'

/** The backends a configuration may name. */
export const backends = ['iptables', 'nftables'] as const

export type Backend = (typeof backends)[number]

/** What leaves these addresses for elsewhere gets the node's address. */
export type Masquerade = {
  readonly network: string
  readonly containerID: string
  readonly ifName: string
  /** The container's addresses with their subnets' prefix lengths; traffic inside those subnets stays as it is. */
  readonly addresses: readonly Cidr[]
  /** Networks to which traffic stays as it is too. */
  readonly exempt: readonly Cidr[]
}

/** The backend to use when the configuration names none: iptables where its programs are, as in the reference. */
export const defaultBackend = (): Backend => (hasIptables(4) ? 'iptables' : 'nftables')
