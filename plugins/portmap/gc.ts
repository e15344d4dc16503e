import { isAmong } from '../../src/attachment/attachment'
import { validAttachments } from '../../src/cni/conf'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { forEveryBackend } from './backend'
import { releasePorts, sweepOwners } from './claims'
import { forgetFlowsOf, goingOf } from './del'
import { listOwners } from './owners'
import { readConf } from './read-conf'

/**
 * Removes the ports of the network's attachments that the runtime does not know. The reference's rules in nftables
 * name no network, so they are left; those in iptables do.
 */
export const gc = async (call: Call): Promise<void> => {
  const { network } = readConf(call)
  const valid = validAttachments(call.conf)
  const isValid = isAmong(valid)
  const gone = listOwners().filter(owner => owner.network === network && !isValid(owner))
  await runAll([
    () => forEveryBackend(backend => backend.collect({ network, kept: valid, gone: gone.map(goingOf) })),
    ...gone.map(owner => () => forgetFlowsOf(owner)),
    ...gone.map(owner => () => releasePorts(owner)),
    () => sweepOwners(),
  ])
}
