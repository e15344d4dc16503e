/**
 * The ifb through which a container's egress goes. Its name is the reference's, which has no interface in it: the
 * second interface of a container on one network gets a name of its own. The alias of an ifb names its owner; until it
 * is ready, its group.
 */
import { platform } from '#platform'
import { type Attachment, hashOf } from '../../src/attachment/attachment'
import { formatAlias, ifbNames, isAliasOf } from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import { disableIPv6 } from '../../src/host/sysctl'
import type { Undo } from '../../src/host/undo'
import { type Mac, macFromHash } from '../../src/ip/mac'
import { unlessRefused } from '../../src/netlink/error'
import { ifbAdd, type Link, linkByName, linkDel } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { ingressFilters, qdiscList, TC_H_INGRESS, type TcObject } from '../../src/netlink/tc'

/** An interface whose received packets go to another one: the ifindexes of both. */
export type Redirect = { readonly from: number; readonly to: number }

/** Every redirect there is on the host. The cost grows with the number of shaped containers; `qdiscs` are the host's. */
export const redirectList = (nl: NetlinkSocket, qdiscs: readonly TcObject[] = qdiscList(nl)): Redirect[] =>
  qdiscs
    .filter(({ kind, parent }) => ['ingress', 'clsact'].includes(kind) && parent === TC_H_INGRESS)
    .flatMap(({ index }) =>
      ingressFilters(nl, { index, name: String(index) }).redirects.map(({ to }) => ({ from: index, to })),
    )

/** Does any interface send what it receives to this one? */
export const isUsed = (nl: NetlinkSocket, link: { index: number }): boolean =>
  redirectList(nl).some(({ to }) => to === link.index)

const nameDigits = 12

/** Where groups of half-made ifbs begin: well above those that people number, and above 0, where everything is. */
const firstGroup = 0x40000000

/** The IFLA_GROUP of an attachment's ifb while it is being made; one that is ready is in the default group, 0. */
export const halfMadeGroup = (id: Attachment): number =>
  firstGroup + Number.parseInt(hashOf(id).slice(nameDigits, nameDigits + 7), 16)

/** Is it the attachment's ifb, ready or half made? One the reference made bears no mark, and is not. */
export const isMarkedAs = (link: Link, id: Attachment): boolean =>
  link.kind === 'ifb' && (isAliasOf(link.alias, id) || (!link.alias && link.group === halfMadeGroup(id)))

/** Does nothing say whose ifb it is? The reference's are so. */
export const isUnmarked = (link: Link): boolean => link.kind === 'ifb' && !link.alias && link.group === 0

/** Another MAC than udev's for the same name: one that is given is left alone by it. */
const macOf = (id: Attachment): Mac => macFromHash(platform.sha512Hex(`ifb\n${formatAlias(id)}`))

/** Is it what a killed ADD left, or a lost DEL of the reference? In use, it is another interface's. */
const isLeftover = (nl: NetlinkSocket, link: Link, id: Attachment): boolean =>
  isMarkedAs(link, id) || (isUnmarked(link) && !isUsed(nl, link))

/** A new ifb, `made` where the kernel describes it. */
type NewIfb = { readonly name: string; readonly made: Link | undefined }

const addUnlessTaken = (nl: NetlinkSocket, ifb: Parameters<typeof ifbAdd>[1]): NewIfb | undefined =>
  unlessRefused(['EEXIST'], () => ({ name: ifb.name, made: ifbAdd(nl, ifb) }))

/** Creates the ifb under the first of its names that is not another's. The rest of an earlier one goes first. */
const create = (nl: NetlinkSocket, id: Attachment, mtu: number): NewIfb => {
  const names = ifbNames(id)
  for (const name of names) {
    const wanted = { name, mac: macOf(id), mtu, group: halfMadeGroup(id) }
    const first = addUnlessTaken(nl, wanted)
    if (first) return first
    const found = linkByName(nl, name)
    if (found && !isLeftover(nl, found, id)) continue
    if (found) linkDel(nl, found)
    const second = addUnlessTaken(nl, wanted)
    if (second) return second
  }
  throw new CniError(ErrorCode.internal, `create an ifb for "${id.ifName}": EEXIST`, {
    details: `other interfaces are called ${names.map(name => `"${name}"`).join(' and ')}`,
  })
}

/** Makes the attachment's ifb with this MTU, down and marked as half made. */
export const setUpIfb = (nl: NetlinkSocket, id: Attachment, mtu: number, undo: Undo): Link => {
  const { name, made } = create(nl, id, mtu)
  undo.add(`delete "${name}"`, () =>
    withNetlink(NETLINK_ROUTE, again => {
      const link = linkByName(again, name)
      if (link) linkDel(again, link)
    }),
  )
  const link = made ?? linkByName(nl, name)
  if (!link) throw new CniError(ErrorCode.internal, `ifb "${name}" vanished while it was being set up`)
  disableIPv6(name)
  return link
}
