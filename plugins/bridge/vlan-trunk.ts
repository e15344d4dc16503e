import * as v from 'valibot'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { VlanSpan } from '../../src/netlink/bridge-vlan'

const highestVlan = 4094

const id = (text: string) =>
  v.optional(
    v.pipe(v.number(), v.integer(), v.metadata({ minimum: 0, maximum: highestVlan }), v.description(text)),
  )

/** The `vlanTrunk` key: VLANs the port carries tagged, one by one or as spans. */
export const vlanTrunkSchema = () =>
  v.array(
    v.object({
      id: id('One VLAN'),
      minID: id('First VLAN of a span'),
      maxID: id('Last VLAN of a span'),
    }),
  )

type TrunkEntry = { id?: number | undefined; minID?: number | undefined; maxID?: number | undefined }

const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, message)

const isVlan = (value: number): boolean => value > 0 && value <= highestVlan

const spanOf = ({ minID, maxID }: TrunkEntry): number[] => {
  if (minID === undefined && maxID === undefined) return []
  if (minID === undefined || maxID === undefined) {
    const missing = minID === undefined ? 'minID' : 'maxID'
    throw invalid(`minID and maxID should be configured simultaneously, ${missing} is missing`)
  }
  if (!isVlan(minID)) throw invalid('incorrect trunk minID parameter')
  if (!isVlan(maxID)) throw invalid('incorrect trunk maxID parameter')
  if (maxID < minID) throw invalid('minID is greater than maxID in trunk parameter')
  return Array.from({ length: maxID - minID + 1 }, (_, i) => minID + i)
}

/** The VLANs of a trunk, ascending, each once. Throws code 7 in the reference's words. */
export const trunkVlans = (entries: readonly TrunkEntry[]): number[] => {
  const vlans = new Set<number>()
  for (const entry of entries) {
    for (const vlan of spanOf(entry)) vlans.add(vlan)
    if (entry.id === undefined) continue
    if (!isVlan(entry.id)) throw invalid('incorrect trunk id parameter')
    vlans.add(entry.id)
  }
  return [...vlans].sort((a, b) => a - b)
}

/** The spans of VLANs that follow one another: 1, 2, 3, 7 are 1-3 and 7. `vlans` must ascend. */
export const spansOf = (vlans: readonly number[]): VlanSpan[] => {
  const spans: { first: number; last: number }[] = []
  for (const vid of vlans) {
    const span = spans.at(-1)
    if (span?.last === vid - 1) span.last = vid
    else spans.push({ first: vid, last: vid })
  }
  return spans
}
