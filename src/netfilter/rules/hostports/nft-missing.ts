import { portComment } from '../../../attachment/nft-comments'
import type { Cidr } from '../../../ip/cidr'
import { NETLINK_NETFILTER, type NetlinkSocket, withNetlink } from '../../../netlink/socket'
import { missingRules } from '../../nft/compare'
import { ruleListByComment } from '../../nft/read'
import type { ReadRule } from '../../nft/wire/rule'
import { type HostPorts, type MissingRule, mappingsOf } from './hostports'
import { dnatRule, formatDnat, snatRules, tableOf } from './nft-rules'

/** What is said of a table in which a chain lacks what `missing` says. */
const missingRule = ({ addr }: Cidr, chain: string, missing: string): MissingRule => ({
  message: `missing hostport rules in "${chain}" chain`,
  details: `table ${tableOf(addr.family).family} cni_hostport: ${missing}`,
})

const leadsOn = ({ expressions }: ReadRule): boolean => expressions.at(-1)?.name === 'nat'

const missingPorts = (conf: HostPorts, address: Cidr, found: readonly ReadRule[]): MissingRule[] => {
  const { family } = address.addr
  const mappings = mappingsOf(conf, family)
  if (conf.conditions[family].length > 0) {
    // What nft made of the conditions is not for comparing.
    const there = found.filter(leadsOn).length
    return there >= mappings.length
      ? []
      : [missingRule(address, 'hostports', `${there} of ${mappings.length} rules are there`)]
  }
  const wanted = mappings.map(mapping => ({ mapping, ...dnatRule(conf, address, mapping) }))
  return missingRules(found, tableOf(family).family, wanted).map(({ mapping }) =>
    missingRule(address, 'hostports', formatDnat(address, mapping)),
  )
}

const missingOf = (nl: NetlinkSocket, conf: HostPorts, address: Cidr): MissingRule[] => {
  const own = (chain: string): ReadRule[] =>
    ruleListByComment(nl, tableOf(address.addr.family), chain, portComment(conf.containerID)).filter(
      ({ comment }) => comment === portComment(conf.containerID),
    )
  const ports = missingPorts(conf, address, [...own('hostports'), ...own('hostip_hostports')])
  // Theirs and ours differ in what they masquerade, not in how many rules do.
  const wanted = snatRules(conf, address).length
  const there = own('masquerading').length
  return there >= wanted
    ? ports
    : [...ports, missingRule(address, 'masquerading', `${there} of ${wanted} rules are there`)]
}

/** The rules of the container that are not there, ours or the reference's, and those that masquerade. */
export const missing = async (conf: HostPorts): Promise<MissingRule[]> =>
  withNetlink(NETLINK_NETFILTER, nl => conf.addresses.flatMap(address => missingOf(nl, conf, address)))
