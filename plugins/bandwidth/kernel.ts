import { CniError, ErrorCode } from '../../src/cni/error'
import { isFrom } from '../../src/host/system-error'

/** A part of the kernel that shaping needs, by the name of its module. */
export type KernelPart = 'ifb' | 'sch_tbf' | 'sch_ingress' | 'cls_u32' | 'act_mirred'

const options: Record<KernelPart, string> = {
  ifb: 'CONFIG_IFB',
  sch_tbf: 'CONFIG_NET_SCH_TBF',
  sch_ingress: 'CONFIG_NET_SCH_INGRESS',
  cls_u32: 'CONFIG_NET_CLS_U32',
  act_mirred: 'CONFIG_NET_ACT_MIRRED',
}

/** The failure of a kernel that lacks a part, and how to get it. */
export const missingPart = (part: KernelPart, cause?: unknown): CniError => {
  const said = isFrom(cause, 'netlink') ? `; ${cause.message}: ${cause.details}` : ''
  return new CniError(ErrorCode.pluginNotAvailable, `bandwidth: the kernel has no ${part}`, {
    details:
      `load it with "modprobe ${part}"; if there is no such module, install the distribution's package of extra ` +
      `kernel modules, or a kernel built with ${options[part]}${said}`,
    ...(cause !== undefined && { cause }),
  })
}

/** How the kernel says that it does not know a kind: of link, and of qdisc, filter or action. */
const unknownKind = ['EOPNOTSUPP', 'ENOENT']

/** Runs a request that needs parts of the kernel; if they are what is missing, says so. */
export const needing = <T>(parts: readonly [KernelPart, ...KernelPart[]], work: () => T): T => {
  try {
    return work()
  } catch (error) {
    if (!isFrom(error, 'netlink', ...unknownKind)) throw error
    // Of a filter and its action, the kernel's own words tell which it was.
    const part = parts.length > 1 && /action/i.test(error.details) ? parts[parts.length - 1] : parts[0]
    throw missingPart(part ?? parts[0], error)
  }
}
