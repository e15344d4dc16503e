/** What of masquerading ADD, CHECK and STATUS do with iptables; only loaded where that is used. */
import { formatAddr } from '../../src/ip/addr'
import { hasIptables, iptablesSave, isUnlistable } from '../../src/netfilter/iptables'
import {
  missingMasqueradeIptables,
  setupMasqueradeIptables,
  teardownMasqueradeIptables,
} from '../../src/netfilter/rules/masquerade/iptables'
import type { MasqueradeBackend } from './masquerade'
import { notReady, saidBy } from './not-ready'

export const backend: MasqueradeBackend = {
  setup: setupMasqueradeIptables,
  teardown: masquerade =>
    teardownMasqueradeIptables(masquerade, {
      known: masquerade.addresses,
      isDoomed: address => masquerade.addresses.some(({ addr }) => formatAddr(addr) === address),
    }),
  missing: missingMasqueradeIptables,
  // Reading the table fails where the programs or the kernel will not have it.
  probe: async () => {
    if (!hasIptables(4)) throw notReady('iptables-restore is not in PATH', 'install iptables')
    try {
      await iptablesSave(4, 'nat')
    } catch (error) {
      // ADD needs no list: iptables refuses a chain that is there.
      if (!isUnlistable(error)) throw notReady('iptables can not be used', saidBy(error))
    }
  },
}
