/** Are the rules of host ports in iptables there? Where the table cannot be listed, each is asked for by itself. */

import { dnatChains } from '../../../attachment/iptables-names'
import type { Cidr } from '../../../ip/cidr'
import { iptablesSave, isUnlistable, rulesNotFound } from '../../iptables'
import type { ChainRule } from '../localnet'
import type { HostPorts, MissingRule } from './hostports'
import { containerRules, missingRules, sharedNatRules, textOfRule } from './iptables-rules'

/** The rules of a container for one of its addresses that are not there, and those it shares. */
const missingOf = async (conf: HostPorts, address: Cidr): Promise<readonly ChainRule[]> => {
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
    const missing = new Set(await rulesNotFound(family, 'nat', wanted.map(textOfRule)))
    return wanted.filter(rule => missing.has(textOfRule(rule)))
  }
  const missing = await missingIn(shared)
  return missing.length > 0 && (await missingIn(own)).length === 0 ? [] : missing
}

/** The rules of the container that are not there, and those it shares. */
export const missing = async (conf: HostPorts): Promise<MissingRule[]> => {
  const lost: MissingRule[] = []
  for (const address of conf.addresses) {
    for (const { chain, rule } of await missingOf(conf, address)) {
      lost.push({
        message: `a port mapping's rule is missing in the IPv${address.addr.family} table nat: ${chain} ${rule}`,
        details: 'somebody has removed it: "kubenet sync" makes it again',
      })
    }
  }
  return lost
}
