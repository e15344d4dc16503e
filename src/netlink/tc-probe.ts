/**
 * Asks the kernel what it can do without making it do anything: each request has a fault that is found only after
 * the kind it names was looked up, and loaded if it is a module.
 */

import { isFrom } from '../host/system-error'
import { netlinkError } from './error'
import { type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Request } from './socket'
import { IFLA_INFO_KIND, IFLA_LINKINFO, ifInfoMsg, RTM_NEWLINK } from './wire/link'
import { messageBody, putU32 } from './wire/message'
import {
  RTM_NEWACTION,
  RTM_NEWQDISC,
  TC_H_INGRESS,
  TC_H_ROOT,
  TCA_STAB,
  tcActionBody,
  tcBody,
} from './wire/tc'
import { actionKind } from './wire/tc-options'

/** <linux/if_link.h> */
const IFLA_NUM_TX_QUEUES = 31

/** The loopback device, which every network namespace has. */
const LOOPBACK_IFINDEX = 1

/** Does the kernel refuse the request for its fault, not for the kind? Throws for any other refusal. */
const isKnown = (nl: NetlinkSocket, op: string, unknown: string, request: Request): boolean => {
  try {
    nl.request(op, request)
  } catch (error) {
    if (!isFrom(error, 'netlink')) throw error
    // EEXIST: the very kind is there already.
    if (error.code === 'EINVAL' || error.code === 'EEXIST') return true
    if (error.code === unknown) return false
    throw error
  }
  throw netlinkError(op, 'EINVAL', 'the kernel accepted a request that it should refuse')
}

/** Can the kernel make links of this kind, such as "ifb"? The fault: a link without queues to send by. */
export const hasLinkKind = (nl: NetlinkSocket, kind: string): boolean =>
  isKnown(nl, `look for link kind "${kind}"`, 'EOPNOTSUPP', {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: messageBody(ifInfoMsg({}), [
      [IFLA_NUM_TX_QUEUES, putU32(0)],
      [IFLA_LINKINFO, [[IFLA_INFO_KIND, Buffer.from(kind)]]],
    ]),
  })

/** Has the kernel this qdisc, such as "tbf"? The fault: a size table without its base. */
export const hasQdiscKind = (nl: NetlinkSocket, kind: string): boolean =>
  isKnown(nl, `look for qdisc kind "${kind}"`, 'ENOENT', {
    type: RTM_NEWQDISC,
    // These three together skip a qdisc of another kind: net/sched/sch_api.c, tc_modify_qdisc.
    flags: NLM_F_CREATE | NLM_F_REPLACE | NLM_F_EXCL,
    body: tcBody(
      { index: LOOPBACK_IFINDEX, parent: kind === 'ingress' ? TC_H_INGRESS : TC_H_ROOT },
      kind,
      undefined,
      [[TCA_STAB, []]],
    ),
  })

/**
 * Has the kernel this action for filters, such as "mirred"? The fault: an action without its parameters. Undefined where
 * the kernel does not say: in a user namespace an action comes with its filter only (net/sched/act_api.c,
 * tc_ctl_action).
 */
export const hasActionKind = (nl: NetlinkSocket, kind: string): boolean | undefined => {
  try {
    return isKnown(nl, `look for action "${kind}"`, 'ENOENT', {
      type: RTM_NEWACTION,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: tcActionBody([[1, [actionKind(kind)]]]),
    })
  } catch (error) {
    if (isFrom(error, 'netlink', 'EPERM')) return undefined
    throw error
  }
}
