/** Waiting for what the kernel announces of links. */

import { isFrom } from '../host/system-error'
import type { EventSocket } from './event-socket'
import { type Link, linkByIndex } from './link'
import type { NetlinkSocket } from './socket'
import * as w from './wire/link'

export { RTNLGRP_LINK } from './wire/link'

/**
 * Waits until the kernel calls an interface operational, and answers it; undefined if it did not within `seconds`. Carrier travels
 * through a work queue (net/core/link_watch.c), so it may be a moment behind the message that brought the link up.
 * `events` must have listened to RTNLGRP_LINK in the same namespace before that message.
 */
export const waitUntilOperational = (
  nl: NetlinkSocket,
  events: EventSocket,
  index: number,
  seconds: number,
): Link | undefined => {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const link = linkByIndex(nl, index)
    if (link?.operState === w.IF_OPER_UP) return link
    for (;;) {
      const left = (deadline - performance.now()) / 1000
      if (left <= 0) return undefined
      if (hasChanged(events, index, left)) break
    }
  }
}

/** Was the link announced as changed within `seconds`? */
const hasChanged = (events: EventSocket, index: number, seconds: number): boolean => {
  try {
    const heard = events.next('wait for the link', seconds)
    return heard.some(({ type, data }) => type === w.RTM_NEWLINK && w.readIfIndex(data) === index)
  } catch (error) {
    // On a busy node more is announced than the socket holds: what was lost may have been about this link.
    if (isFrom(error, 'netlink', 'ENOBUFS')) return true
    throw error
  }
}
