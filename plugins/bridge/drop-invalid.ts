/** "dropInvalid": what masquerading does not touch does not leave either. Only loaded where the key is set. */
import type { Attachment } from '../../src/attachment/attachment'
import type { Undo } from '../../src/host/undo'
import { ifNftables } from '../../src/netfilter/nft/socket'
import {
  collectDropInvalid,
  missingDropInvalid,
  setupDropInvalid,
  teardownDropInvalid,
} from '../../src/netfilter/rules/drop-invalid/nft'
import type { Masquerade } from '../../src/netfilter/rules/masquerade/masquerade'
import { withNftables } from './nftables'

/** Makes an attachment's rules; throws code 999 if the kernel has no nf_tables. */
export const dropInvalid = (masquerade: Masquerade, undo: Undo): void => {
  undo.add('remove the rules of "dropInvalid"', () => allowInvalid(masquerade))
  withNftables(nl => setupDropInvalid(nl, masquerade))
}

/** The rules that are missing, in words. */
export const missingGuards = (masquerade: Masquerade): string[] =>
  withNftables(nl => missingDropInvalid(nl, masquerade))

/** Removes an attachment's rules; none there is no failure. */
export const allowInvalid = (id: Attachment): void => {
  ifNftables(nl => teardownDropInvalid(nl, id))
}

/** Removes the rules of the network's attachments that are not valid any more. */
export const collectGuards = (network: string, valid: readonly Attachment[]): void => {
  ifNftables(nl => collectDropInvalid(nl, network, valid))
}
