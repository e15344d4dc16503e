import { hasIptables } from './iptables'

/** The two ways to program the kernel's packet filter that a configuration may name. */
export const backends = ['iptables', 'nftables'] as const

export type Backend = (typeof backends)[number]

/** The backend to use when the configuration names none: iptables where its programs are, as in the reference. */
export const defaultBackend = (): Backend => (hasIptables(4) ? 'iptables' : 'nftables')
