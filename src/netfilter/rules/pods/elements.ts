import { type KubenetConf, masquerades } from '../../../../plugins/kubenet/config'
import { everyAddress, formatClaim } from '../../../attachment/claim'
import { type Addr, formatAddr, parseAddr } from '../../../ip/addr'
import type { NftElement } from '../../nft/set'
import { type HostPorts, mappingsOf, protocols } from '../hostports/hostports'
import { hostipsMap, hostportsMap, type PlainSet, podsSet } from './nft-rules'

/** An element and the set or map it is in. */
export type Placed = {
  readonly set: PlainSet
  readonly element: NftElement
  /** The claim of the host port that it leads to the pod. */
  readonly claim?: string
}

/** The elements that have a pod's addresses masqueraded; none for a family that is exempt as a whole. */
export const podElements = (conf: KubenetConf, addresses: readonly Addr[], comment: string): Placed[] =>
  addresses
    .filter(({ family }) => masquerades(conf, family))
    .map(addr => ({ set: podsSet(conf.network, addr.family), element: { key: [addr], comment } }))

/** The elements that lead the host's ports to the pod. */
export const portElements = (conf: HostPorts, comment: string): Placed[] => {
  const placed: Placed[] = []
  for (const { addr } of conf.addresses) {
    for (const { protocol, hostPort, containerPort, hostIP } of mappingsOf(conf, addr.family)) {
      const where = hostIP ? formatAddr(hostIP) : everyAddress(addr.family)
      const claim = formatClaim(protocol, hostPort, where)
      const place = placeOfClaim(claim)
      if (place) {
        const { set, key } = place
        placed.push({ set, element: { key, data: [addr, containerPort], comment }, claim })
      }
    }
  }
  return placed
}

/** The place of the element a claim of a port stands for: "tcp-8080/any4", "udp-53/192.0.2.1". */
export const placeOfClaim = (claim: string): { set: PlainSet; key: NftElement['key'] } | undefined => {
  const [port = '', where = ''] = claim.split('/')
  const [name = '', number = ''] = port.split('-')
  const protocol = protocols.find(known => known === name)
  const hostPort = Number(number)
  if (!protocol || !Number.isInteger(hostPort)) return undefined
  if (where === 'any4' || where === 'any6') {
    return { set: hostportsMap(where === 'any4' ? 4 : 6), key: [protocol, hostPort] }
  }
  const hostIP = parseAddr(where)
  return hostIP && { set: hostipsMap(hostIP.family), key: [hostIP, protocol, hostPort] }
}

/** The element in words, for messages: its set and its key. */
export const formatPlaced = ({ set, element }: Placed): string =>
  `${element.key.map(part => (typeof part === 'object' && 'family' in part ? formatAddr(part) : String(part))).join(' . ')} in ${set.name}`
