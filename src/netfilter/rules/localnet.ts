/**
 * The guard of 127.0.0.0/8: route_localnet, by which a host port of 127.0.0.1 leads to a container, opens these addresses to
 * the container's neighbours too. The rules are every container's: they come in one batch with the first host port, and
 * stay. With iptables, in the table filter:
 *
 *   -I INPUT -m comment --comment "CNI portfwd: localhost is for this host" -j CNI-HOSTPORT-LOCAL      FORWARD likewise
 *   -A CNI-HOSTPORT-LOCAL -d 127.0.0.0/8 ! -i lo -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
 *   -A CNI-HOSTPORT-LOCAL ! -i lo -m conntrack --ctorigdst 127.0.0.0/8 --ctdir ORIGINAL -j DROP
 *
 * With nftables, in the table of the host ports:
 *
 *   chain martians {
 *     type filter hook prerouting priority raw; policy accept;
 *     iifname != "lo" ip daddr 127.0.0.0/8 drop
 *   }
 */
import { hostportChains } from '../../attachment/iptables-names'
import type { Cidr } from '../../ip/cidr'
import { commentMatch } from '../iptables'
import { type NftRule, rule } from '../nft/rule'
import { iifname, ipDaddr } from '../nft/selector'
import { drop, eq, neq } from '../nft/statement'
import type { NftChain } from '../nft/wire/table'

// <linux/netfilter_ipv4.h>: NF_IP_PRI_RAW.
const raw = -300

/** The addresses a host keeps for itself. */
export const loopback = (): Cidr => ({ addr: { family: 4, bits: 0x7f000000n }, prefix: 8 })

/** The guard with nftables. IPv6 has no route_localnet. */
export const martians = (): { chain: NftChain; rules: NftRule[] } => ({
  // Before any port leads such a packet elsewhere; answers to this host's own are not addressed to 127.0.0.0/8 yet.
  chain: { name: 'martians', type: 'filter', hook: 'prerouting', priority: raw },
  rules: [rule([neq(iifname, 'lo'), eq(ipDaddr, loopback()), drop()])],
})

/** A rule in a chain: "-A" and "-I" put before it add it, "-D" deletes and "-C" checks it. */
export type ChainRule = { readonly chain: string; readonly rule: string; readonly first?: boolean }

/** The rules that keep neighbours from 127.0.0.0/8, in the table filter. IPv6 has no route_localnet. */
export const localnetRules = (): { chains: string[]; rules: ChainRule[] } => {
  const { localnet } = hostportChains
  const guard = `${commentMatch('CNI portfwd: localhost is for this host')} -j ${localnet}`
  return {
    chains: [localnet],
    rules: [
      {
        chain: localnet,
        rule: '-d 127.0.0.0/8 ! -i lo -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
      },
      // Packets of host ports have another destination by now.
      {
        chain: localnet,
        rule: '! -i lo -m conntrack --ctorigdst 127.0.0.0/8 --ctdir ORIGINAL -j DROP',
      },
      { chain: 'INPUT', rule: guard, first: true },
      { chain: 'FORWARD', rule: guard, first: true },
    ],
  }
}
