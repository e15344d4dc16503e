import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { requirePrivilege } from '../../src/cni/privilege'
import { isFrom } from '../../src/host/system-error'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { hasActionKind, hasLinkKind, hasQdiscKind } from '../../src/netlink/tc-probe'
import { readBandwidthConf } from './config'
import { type KernelPart, missingPart } from './kernel'

/**
 * Each part and how to ask for it. None for cls_u32: a kernel looks for a filter's kind only where it may be put, and
 * to make such a place would change the host.
 */
const probes: readonly [KernelPart, (nl: NetlinkSocket) => boolean | undefined][] = [
  ['ifb', nl => hasLinkKind(nl, 'ifb')],
  ['sch_tbf', nl => hasQdiscKind(nl, 'tbf')],
  ['sch_ingress', nl => hasQdiscKind(nl, 'ingress')],
  ['act_mirred', nl => hasActionKind(nl, 'mirred')],
]

/** Can containers be shaped now? Throws code 50 with what the kernel lacks if not. Changes nothing. */
export const status = async (call: Call): Promise<void> => {
  readBandwidthConf(call)
  try {
    withNetlink(NETLINK_ROUTE, nl => {
      for (const [part, isThere] of probes) if (isThere(nl) === false) throw missingPart(part)
    })
  } catch (error) {
    if (!isFrom(error, 'netlink')) throw error
    throw new CniError(ErrorCode.pluginNotAvailable, 'bandwidth: traffic control cannot be used', {
      details: `${error.message}: ${error.details}`,
      cause: error,
    })
  }
  requirePrivilege('bandwidth')
}
