/** The interface that packets leave the host by. */
import type { HostLink } from '../../node/survey/links'
import type { Survey } from '../../node/survey/survey'
import type { Family } from '../../src/ip/addr'
import { RT_TABLE_MAIN } from '../../src/netlink/route'

/** The one that the best default route of a family leads to; undefined if there is none. */
export const uplinkOf = ({ readings }: Survey, family: Family): HostLink | undefined => {
  const [best] = readings.routes
    .filter(({ dst, table }) => dst.prefix === 0 && dst.addr.family === family && table === RT_TABLE_MAIN)
    .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
  return readings.links.find(({ index }) => index === best?.index)
}
