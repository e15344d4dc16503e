/**
 * One port of the host for two interfaces of a container. It leads to the one that was added first, as with portmap, whose
 * rules are both there and of which the first matches. A map has room for one: the other waits, by its record, and the port
 * is led there when the first goes. Records change only while the ports are locked, so that no port is led to an
 * attachment that is going.
 */
import { type Attachment, keyOf } from '../../src/attachment/attachment'
import { familyOf, hostportsFolder, parseClaim } from '../../src/attachment/host-ports'
import { elementComment } from '../../src/attachment/nft-comments'
import { parseAddr } from '../../src/ip/addr'
import { thisHost } from '../../src/life/host-view'
import { ifNftables } from '../../src/netfilter/nft/socket'
import { addToFree } from '../../src/netfilter/rules/pods/nft'
import { placeOfClaim } from '../../src/netfilter/rules/pods/nft-rules'
import type { Placed } from '../../src/netfilter/rules/pods/pods'
import { unlessRefused } from '../../src/netlink/error'
import { ownerOf, whilePortsLocked } from '../portmap/claims'
import { hasEnded, listOwners, type PortOwner, writeOwner } from '../portmap/records'

type Waiting = NonNullable<PortOwner['waiting']>[number]

/** The comments of the container's other attachments that have host ports and are not gone. */
export const siblingComments = (owner: Attachment): Set<string> => {
  const others = listOwners().filter(
    other => other.containerID === owner.containerID && keyOf(other) !== keyOf(owner),
  )
  return new Set(others.filter(other => !hasEnded(other, thisHost())).map(elementComment))
}

const containerPortOf = ({ element }: Placed): number => Number(element.data?.[1])

/** Notes which ports an attachment waits for. */
export const noteWaiting = (owner: Attachment, elements: readonly Placed[]): void => {
  const record = ownerOf(owner)
  const waiting = elements.flatMap(placed =>
    placed.claim === undefined ? [] : [{ claim: placed.claim, containerPort: containerPortOf(placed) }],
  )
  if (record && waiting.length > 0) writeOwner(hostportsFolder, { ...record, waiting })
}

/** Has an attachment that goes wait no longer, before its elements are erased: no port is led there any more. */
export const stopWaiting = async (record: PortOwner | undefined): Promise<void> => {
  if (!record?.waiting) return
  await whilePortsLocked(() => {
    const found = ownerOf(record)
    if (found?.waiting) writeOwner(hostportsFolder, { ...found, waiting: undefined })
  })
}

const elementOf = (record: PortOwner, { claim, containerPort }: Waiting): Placed | undefined => {
  const place = placeOfClaim(claim)
  const family = familyOf(parseClaim(claim).where)
  const addr = record.addresses?.map(parseAddr).find(found => found?.family === family)
  if (!place || !addr) return undefined
  const element = { key: place.key, data: [addr, containerPort], comment: elementComment(record) }
  return { set: place.set, element, claim }
}

/** Leads the ports to those attachments that wait for them, as far as they are free. The ports must be locked. */
export const passPortsOn = (): void => {
  for (const record of listOwners()) {
    const elements = (record.waiting ?? []).flatMap(entry => elementOf(record, entry) ?? [])
    if (elements.length === 0) continue
    // Where the maps are gone, "kubenet sync" makes them again, with the ports.
    const passed = ifNftables(nl => unlessRefused(['ENOENT'], () => addToFree(nl, elements))) ?? []
    const claims = new Set(passed.map(({ claim }) => claim))
    const left = record.waiting?.filter(({ claim }) => !claims.has(claim))
    if (claims.size > 0) writeOwner(hostportsFolder, { ...record, waiting: left?.length ? left : undefined })
  }
}

/** The same if another attachment waits, after code that does not know of it freed the ports. */
export const passPortsOnLocked = async (): Promise<void> => {
  if (listOwners().some(({ waiting }) => waiting)) await whilePortsLocked(passPortsOn)
}
