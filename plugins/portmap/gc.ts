import { isAmong } from '../../src/attachment/attachment'
import { validAttachments } from '../../src/cni/conf'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { collectClaims, takeDownClaims } from './claims'
import { readConf } from './config'
import { takeDownFlowsOf } from './del'
import { listOwners } from './records'
import { goingOf, withEveryBackend } from './rules'

/**
 * Removes the ports of the network's attachments that the runtime does not know. The reference's rules in nftables
 * name no network, so they are left; those in iptables do.
 */
export const gc = async (call: Call): Promise<void> => {
  const { network } = readConf(call)
  const valid = validAttachments(call.conf)
  const isValid = isAmong(valid)
  const gone = listOwners().filter(owner => owner.network === network && !isValid(owner))
  let hasStaleRules = true
  await runAll([
    async () => {
      await withEveryBackend(rules => rules.collect({ network, kept: valid, gone: gone.map(goingOf) }))
      hasStaleRules = false
    },
    ...gone.map(owner => () => takeDownFlowsOf(owner)),
    // The next owner of a port would get none of its connections while old rules lead elsewhere.
    async () => {
      if (!hasStaleRules) await runAll(gone.map(owner => () => takeDownClaims(owner)))
    },
    () => collectClaims(),
  ])
}
