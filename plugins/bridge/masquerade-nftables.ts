/** What of masquerading ADD, CHECK and STATUS do with nftables; only loaded where that is used. */

import { ifNftables } from '../../src/netfilter/nft/socket'
import {
  missingMasqueradeNftables,
  setupMasqueradeNftables,
  teardownMasqueradeNftables,
} from '../../src/netfilter/rules/masquerade/nft'
import type { MasqueradeBackend } from './masquerade'
import { probeNftables, withNftables } from './nftables'

export const backend: MasqueradeBackend = {
  setup: async masquerade => withNftables(nl => setupMasqueradeNftables(nl, masquerade)),
  teardown: async masquerade => ifNftables(nl => teardownMasqueradeNftables(nl, masquerade)),
  missing: async masquerade =>
    ifNftables(nl => missingMasqueradeNftables(nl, masquerade)) ?? ['this kernel has no nf_tables'],
  probe: async () => probeNftables(),
}
