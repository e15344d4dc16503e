import type { Cidr } from '../ip/cidr'

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
