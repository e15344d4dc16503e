/** Are the rules of host ports in iptables there? Where the table cannot be listed, each is asked for by itself. */

import type { PortmapConf } from '../../../../plugins/portmap/config'
import { dnatChains } from '../../../attachment/iptables-names'
import { CniError, ErrorCode } from '../../../cni/error'
import type { Cidr } from '../../../ip/cidr'
import { iptablesSave, isUnlistable, rulesNotFound } from '../../iptables'
import { type ChainRule, containerRules, missingRules, sharedNatRules, textOfRule } from './iptables-rules'

/** The rules of a container for one of its addresses that are not there, and those it shares. */
const missingOf = async (conf: PortmapConf, address: Cidr): Promise<readonly ChainRule[]> => {
  const { family } = address.addr
  const [shared, own] = dnatChains(conf)
  try {
    const { chains, rules } = await iptablesSave(family, 'nat')
    return missingRules(rules, conf, address, chains.has(own) ? own : shared)
  } catch (error) {
    if (!isUnlistable(error)) throw error
  }
  const missingIn = async (chain: string): Promise<ChainRule[]> => {
    const { rules, entries } = containerRules(conf, address, chain)
    const wanted = [...sharedNatRules(conf).rules, ...rules, ...entries]
    const missing = await rulesNotFound(family, 'nat', wanted.map(textOfRule))
    return wanted.filter(rule => missing.includes(textOfRule(rule)))
  }
  const missing = await missingIn(shared)
  return missing.length > 0 && (await missingIn(own)).length === 0 ? [] : missing
}

/** Throws unless all rules of the container are there, naming the first that is not. */
export const checkPortsIptables = async (conf: PortmapConf): Promise<void> => {
  for (const address of conf.addresses) {
    const { family } = address.addr
    const [missing] = await missingOf(conf, address)
    if (!missing) continue
    throw new CniError(
      ErrorCode.internal,
      `a port mapping's rule is missing in the IPv${family} table nat: ${missing.chain} ${missing.rule}`,
      { details: 'somebody has removed it: "kubenet sync" makes it again' },
    )
  }
}
