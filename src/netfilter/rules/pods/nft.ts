/** Changes and reads kubenet's nftables state. Every change of one call is one batch, or none of it happens. */
import { platform } from '#platform'
import { shortName } from '../../../attachment/attachment'
import {
  elementComment,
  isElementHashed,
  isElementOn,
  maxNftCommentBytes,
} from '../../../attachment/nft-comments'
import { isFrom } from '../../../host/system-error'
import type { Family } from '../../../ip/addr'
import { formatCidr } from '../../../ip/cidr'
import { NETLINK_NETFILTER, type NetlinkSocket, withNetlink } from '../../../netlink/socket'
import { elementGet, elementList, nftGeneration, ruleList } from '../../nft/read'
import { formatElement, type NftElement, type NftSet } from '../../nft/set'
import { ifNftables, ifNftablesMeanwhile } from '../../nft/socket'
import { type NftTransaction, nftUpdate } from '../../nft/transaction'
import {
  elementsOf,
  exemptSet,
  fixedChains,
  hostipsMap,
  hostportsMap,
  networkChains,
  networkRules,
  placeOfClaim,
  podsSet,
  table,
  tableComment,
} from './nft-rules'
import type { GoingPod, KeptPods, Placed, PlainSet, Pod, PodNetwork, PodRules } from './pods'

// Raised when the chains change, so that an upgrade rebuilds them.
const layout = 1

const families: readonly Family[] = [4, 6]

/** Where a network's sets end and another's begin, and everything in its chains depends on. */
const fingerprint = ({ bridge, nonMasquerade }: PodNetwork): string =>
  platform.sha512Hex(JSON.stringify([layout, bridge, nonMasquerade.map(formatCidr)])).slice(0, 12)

/** The comment on a network's rules: its name, and what they were made from. */
const rulesComment = (conf: PodNetwork): string => {
  const whole = `${conf.network} ${fingerprint(conf)}`
  return whole.length <= maxNftCommentBytes ? whole : `${shortName(conf.network)} ${fingerprint(conf)}`
}

const isRuleOf = (comment: string, network: string): boolean =>
  [network, shortName(network)].includes(comment.split(' ')[0] ?? '')

/** The sets and maps every attachment of the network may need. */
const setsOf = (network: string): NftSet[] =>
  families.flatMap(family => [
    podsSet(network, family),
    exemptSet(network, family),
    hostportsMap(family),
    hostipsMap(family),
  ])

/** Are the rules there that all pods of the network share? One look at its last chain tells: it was made in one batch. */
const hasBaseRules = (nl: NetlinkSocket, conf: PodNetwork): boolean =>
  ruleList(nl, table, 'to_outside').some(({ comment }) => comment === rulesComment(conf))

/** Adds the table, its chains and sets, and the network's rules; what is there of older ones is replaced. */
const addBaseRules = (nl: NetlinkSocket, tx: NftTransaction, conf: PodNetwork): void => {
  tx.addTable(table, { comment: tableComment })
  for (const set of setsOf(conf.network)) tx.addSet(table, set)
  for (const chain of networkChains) tx.addChain(table, chain)
  for (const { chain } of fixedChains()) tx.addChain(table, chain)
  for (const { chain, rules } of fixedChains()) {
    tx.flushChain(table, chain.name)
    for (const entry of rules) tx.addRule(table, chain.name, entry)
  }
  for (const family of families) tx.flushSet(table, exemptSet(conf.network, family))
  for (const network of conf.nonMasquerade) {
    tx.addElement(table, exemptSet(conf.network, network.addr.family), { key: [network] })
  }
  for (const { name } of networkChains) {
    for (const old of ruleList(nl, table, name)) {
      if (isRuleOf(old.comment, conf.network)) tx.deleteRule(table, old)
    }
  }
  for (const { chain, rule } of networkRules(rulesComment(conf), conf)) tx.addRule(table, chain, rule)
}

/** Makes the rules that the network's pods share if they are not there. */
const ensureBaseRules = (nl: NetlinkSocket, tx: NftTransaction, conf: PodNetwork): void => {
  if (!hasBaseRules(nl, conf)) addBaseRules(nl, tx, conf)
}

/** Replaces the rules that the network's pods share, complete or not. */
export const setUpBaseRules = (nl: NetlinkSocket, conf: PodNetwork): void =>
  nftUpdate(nl, `rebuild the rules of network "${conf.network}"`, tx => addBaseRules(nl, tx, conf))

/**
 * Puts elements into the ruleset, in one batch with the shared rules if those are missing. False, with nothing done, if one is there
 * already: of a lost DEL, or of another interface of the container. That is rare, so nothing is read before.
 */
const createElements = (nl: NetlinkSocket, conf: PodNetwork, placed: readonly Placed[]): boolean => {
  try {
    nftUpdate(nl, `add a pod to network "${conf.network}"`, tx => {
      ensureBaseRules(nl, tx, conf)
      for (const { set, element } of placed) tx.createElement(table, set, element)
    })
    return true
  } catch (error) {
    if (!isFrom(error, 'netlink', 'EEXIST')) throw error
    return false
  }
}

/** The same where elements are in the way: they are replaced, except those with a comment in `kept`. Returns what is left out. */
const replaceElements = (
  nl: NetlinkSocket,
  conf: PodNetwork,
  placed: readonly Placed[],
  kept: ReadonlySet<string>,
): Placed[] =>
  nftUpdate(nl, `add a pod to network "${conf.network}"`, tx => {
    ensureBaseRules(nl, tx, conf)
    return placed.filter(({ set, element }) => {
      const found = elementGet(nl, table, set, element.key)
      if (found && kept.has(found.comment ?? '')) return true
      if (found) tx.deleteElement(table, set, element)
      tx.addElement(table, set, element)
      return false
    })
  })

/**
 * Adds the elements of many pods of a network whose keys are free, in one batch with the shared rules if those are missing.
 * Returns those of each pod.
 */
export const addTogether = (nl: NetlinkSocket, conf: PodNetwork, pods: readonly Pod[]): Placed[][] =>
  nftUpdate(nl, `rebuild the pods of network "${conf.network}"`, tx => {
    ensureBaseRules(nl, tx, conf)
    const taken = new Map<string, Set<string>>()
    const isFree = ({ set, element }: Placed): boolean => {
      const keys = taken.get(set.name) ?? new Set(elementList(nl, table, set).map(keyText))
      taken.set(set.name, keys)
      if (keys.has(keyText(element))) return false
      keys.add(keyText(element))
      return true
    }
    return pods.map(pod => {
      const free = elementsOf(pod).filter(isFree)
      for (const { set, element } of free) tx.addElement(table, set, element)
      return free
    })
  })

/** Adds those elements whose keys are free. Returns them. */
export const addToFree = (nl: NetlinkSocket, placed: readonly Placed[]): Placed[] =>
  nftUpdate(nl, 'lead host ports to another interface of the container', tx => {
    const free = placed.filter(({ set, element }) => !elementGet(nl, table, set, element.key))
    for (const { set, element } of free) tx.addElement(table, set, element)
    return free
  })

/** Where an element is. */
type Place = { readonly set: PlainSet; readonly key: NftElement['key'] }

/**
 * Removes elements that still have this comment: one that another pod took over is left alone. The batch is bound to
 * the generation they were read in, so no process can take one over in between. Answers how many there were.
 */
export const eraseElements = (nl: NetlinkSocket, places: readonly Place[], comment: string): number => {
  if (places.length === 0) return 0
  return nftUpdate(nl, 'remove a pod', tx => {
    const own = places.filter(({ set, key }) => elementGet(nl, table, set, key)?.comment === comment)
    for (const { set, key } of own) tx.deleteElement(table, set, { key })
    return own.length
  })
}

/** All elements of a network's attachments, by reading every set. */
export const listElements = (nl: NetlinkSocket, network: string): Placed[] => {
  const placed: Placed[] = []
  for (const family of families) {
    for (const set of [podsSet(network, family), hostportsMap(family), hostipsMap(family)]) {
      for (const element of elementList(nl, table, set)) {
        if (isElementOn(element.comment ?? '', network)) placed.push({ set, element })
      }
    }
  }
  return placed
}

/** The elements that are not as they should be: missing, or another program's, or leading elsewhere. */
const missingElements = (nl: NetlinkSocket, wanted: readonly Placed[]): Placed[] =>
  wanted.filter(({ set, element }) => {
    const found = elementGet(nl, table, set, element.key)
    return found?.comment !== element.comment || JSON.stringify(data(found)) !== JSON.stringify(data(element))
  })

/** The owner of the element with that key, by its comment; undefined if there is none. */
export const commentOfElement = (nl: NetlinkSocket, { set, element }: Placed): string | undefined =>
  elementGet(nl, table, set, element.key)?.comment

const keyText = ({ key }: NftElement): string => formatElement({ key })

const data = (element: NftElement | undefined): string[] =>
  (element?.data ?? []).map(value =>
    typeof value === 'object' ? Object.values(value).join() : String(value),
  )

/** Are all the rules there that the network's pods share, as CHECK asks? */
export const hasAllBaseRules = (nl: NetlinkSocket, conf: PodNetwork): boolean => {
  const found = ruleList(nl, table)
  const inChain = (name: string) => found.filter(({ chain }) => chain === name)
  const own = networkRules(rulesComment(conf), conf)
  return (
    fixedChains().every(({ chain, rules }) => inChain(chain.name).length === rules.length) &&
    networkChains.every(
      ({ name }) =>
        inChain(name).filter(({ comment }) => comment === rulesComment(conf)).length ===
        own.filter(({ chain }) => chain === name).length,
    ) &&
    conf.nonMasquerade.length === exemptNetworks(nl, conf)
  )
}

/** How many networks the network's pods go to under their own addresses. */
const exemptNetworks = (nl: NetlinkSocket, { network }: PodNetwork): number =>
  families.reduce((sum, family) => sum + elementList(nl, table, exemptSet(network, family)).length, 0)

/**
 * Removes what has the pod's comment: at once, but what nf_tables waits for then passes before the promise is kept. Answers
 * how many elements that were.
 */
const takeDown = async ({ id, addresses, claims }: GoingPod): Promise<number> => {
  const comment = elementComment(id)
  const erased = await ifNftablesMeanwhile(nl => {
    if (addresses.length === 0) {
      const own = listElements(nl, id.network).filter(({ element }) => element.comment === comment)
      return eraseElements(
        nl,
        own.map(({ set, element }) => ({ set, key: element.key })),
        comment,
      )
    }
    const pods = addresses.map(addr => ({ set: podsSet(id.network, addr.family), key: [addr] }))
    return eraseElements(nl, [...pods, ...claims.flatMap(claim => placeOfClaim(claim) ?? [])], comment)
  })
  return erased ?? 0
}

/** The comments that are certainly of this network's attachments: its pods are in sets of its own, its ports on record. */
const certainComments = (placed: readonly Placed[], { network, recorded }: KeptPods): Set<string> => {
  const sets = new Set([podsSet(network, 4).name, podsSet(network, 6).name])
  const pods = placed.filter(({ set }) => sets.has(set.name)).map(({ element }) => element.comment ?? '')
  return new Set([...pods, ...recorded().map(elementComment)])
}

/** Removes the elements of pods that are gone; a long name that only begins like this one is another's. */
const collect = (nl: NetlinkSocket, kept: KeptPods): void => {
  const valid = new Set(kept.valid.map(elementComment))
  const placed = listElements(nl, kept.network)
  const certain = certainComments(placed, kept)
  for (const { set, element } of placed) {
    const { comment = '' } = element
    const isOurs = !isElementHashed(comment) || certain.has(comment)
    if (isOurs && !valid.has(comment)) eraseElements(nl, [{ set, key: element.key }], comment)
  }
}

export const podRules: PodRules = {
  setUp: async ({ going, settle, ...pod }, undo) => {
    undo.add("remove the pod's rules", async () => {
      await takeDown(await going())
    })
    const elements = elementsOf(pod)
    if (withNetlink(NETLINK_NETFILTER, nl => createElements(nl, pod.net, elements))) return
    await settle(kept => withNetlink(NETLINK_NETFILTER, nl => replaceElements(nl, pod.net, elements, kept)))
  },
  takeDown,
  missing: async pod => withNetlink(NETLINK_NETFILTER, nl => missingElements(nl, elementsOf(pod))),
  collect: async kept => {
    ifNftables(nl => collect(nl, kept))
  },
  probe: async () => {
    withNetlink(NETLINK_NETFILTER, nftGeneration)
  },
}
