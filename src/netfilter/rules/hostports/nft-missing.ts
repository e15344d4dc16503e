import { mappingsOf, type PortmapConf } from '../../../../plugins/portmap/config'
import { portComment } from '../../../attachment/nft-comments'
import { CniError, ErrorCode } from '../../../cni/error'
import type { Cidr } from '../../../ip/cidr'
import { NETLINK_NETFILTER, type NetlinkSocket, withNetlink } from '../../../netlink/socket'
import { missingRules } from '../../nft/compare'
import { ruleListByComment } from '../../nft/read'
import type { ReadRule } from '../../nft/wire/rule'
import { dnatRule, formatDnat, snatRules, tableOf } from './nft-rules'

/** The failure of a table in which a chain lacks what `missing` says. */
const missingRule = ({ addr }: Cidr, chain: string, missing: string): CniError =>
  new CniError(ErrorCode.internal, `missing hostport rules in "${chain}" chain`, {
    details: `table ${tableOf(addr.family).family} cni_hostport: ${missing}`,
  })

const leadsOn = ({ expressions }: ReadRule): boolean => expressions.at(-1)?.name === 'nat'

const checkPorts = (conf: PortmapConf, address: Cidr, found: readonly ReadRule[]): void => {
  const { family } = address.addr
  const mappings = mappingsOf(conf, family)
  if (conf.conditions[family].length > 0) {
    // What nft made of the conditions is not for comparing.
    const there = found.filter(leadsOn).length
    if (there >= mappings.length) return
    throw missingRule(address, 'hostports', `${there} of ${mappings.length} rules are there`)
  }
  const wanted = mappings.map(mapping => ({ mapping, ...dnatRule(conf, address, mapping) }))
  const [lost] = missingRules(found, tableOf(family).family, wanted)
  if (lost) throw missingRule(address, 'hostports', formatDnat(address, lost.mapping))
}

const checkAddress = (nl: NetlinkSocket, conf: PortmapConf, address: Cidr): void => {
  const own = (chain: string): ReadRule[] =>
    ruleListByComment(nl, tableOf(address.addr.family), chain, portComment(conf.containerID)).filter(
      ({ comment }) => comment === portComment(conf.containerID),
    )
  checkPorts(conf, address, [...own('hostports'), ...own('hostip_hostports')])
  // Theirs and ours differ in what they masquerade, not in how many rules do.
  const wanted = snatRules(conf, address).length
  const there = own('masquerading').length
  if (there < wanted) throw missingRule(address, 'masquerading', `${there} of ${wanted} rules are there`)
}

/** Throws unless every mapping has its rule, ours or the reference's, and the container those that masquerade. */
export const checkPortsNftables = async (conf: PortmapConf): Promise<void> =>
  withNetlink(NETLINK_NETFILTER, nl => {
    for (const address of conf.addresses) checkAddress(nl, conf, address)
  })
