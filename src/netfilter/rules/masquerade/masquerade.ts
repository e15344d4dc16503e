import type { Attachment } from '../../../attachment/attachment'
import type { Cidr } from '../../../ip/cidr'

/** What leaves these addresses for elsewhere gets the node's address. */
export type Masquerade = Attachment & {
  /** The container's addresses with their subnets' prefix lengths; traffic inside those subnets stays as it is. */
  readonly addresses: readonly Cidr[]
  /** Networks to which traffic stays as it is too. */
  readonly exempt: readonly Cidr[]
}
