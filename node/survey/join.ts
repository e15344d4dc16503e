/** Puts what was read of a node together: what belongs to which attachment, and what to none. */
import { formatAlias, ifbPrefix, parseAlias, referenceIfbName } from '../../src/attachment/interfaces'
import {
  cutSpoofCheckComment,
  parseElementComment,
  spoofCheckComment,
  spoofCheckPrefix,
  spoofCheckRef,
} from '../../src/attachment/nft-comments'
import { type Draft, Drafts } from './draft'
import { masqueradesIn, rulesIn } from './iptables'
import type { HostLink } from './links'
import type { ContainerInterface } from './namespaces'
import { type PortRule, readPortLines } from './port-rules'
import type { Readings } from './readings'
import type { MasqueradeRule, RulesetElement } from './ruleset'

/** The objects of a node, by owner. */
type Joined = {
  readonly drafts: readonly Draft[]
  /** Ports of bridges whose owner nothing tells. */
  readonly strangers: readonly HostLink[]
  /** Elements with a comment that names no known container. */
  readonly elements: readonly RulesetElement[]
  readonly ifbs: readonly HostLink[]
}

/** A veth of the host, and the container's end of it. */
type Pair = { readonly veth: HostLink; readonly inside: ContainerInterface }

/** The pairs of which both ends could be seen. */
const pairsOf = ({ links, insides }: Readings): Pair[] =>
  links
    .filter(({ kind }) => kind === 'veth')
    .flatMap(veth => {
      const ends = veth.peerNsid === undefined ? undefined : insides?.byNsid.get(veth.peerNsid)
      const inside = ends?.find(({ index, peer }) => index === veth.peer && peer === veth.index)
      return inside ? [{ veth, inside }] : []
    })

const bare = (cidr: string): string => cidr.slice(0, cidr.indexOf('/'))

/** Gives each veth to the attachment its alias names; of the rest, to the one that namespace or address tells. */
const joinVeths = (drafts: Drafts, readings: Readings): HostLink[] => {
  const pairs = pairsOf(readings)
  const byVeth = new Map(pairs.map(pair => [pair.veth.index, pair]))
  const unnamed: HostLink[] = []
  for (const veth of readings.links.filter(({ kind }) => kind === 'veth')) {
    const owner = parseAlias(veth.alias)
    if (!owner) unnamed.push(veth)
    else setVeth(drafts.of(owner), veth, byVeth.get(veth.index)?.inside)
  }
  const { byPlace, byAddress } = placesOf(drafts)
  const claims = addressClaims(pairs)
  return unnamed.filter(veth => {
    const inside = byVeth.get(veth.index)?.inside
    if (!inside) return true
    const { netns, name, addresses } = inside
    const places = [netns.ino, ...netns.paths].map(place => byPlace.get(`${place} ${name}`))
    const claimed = addresses.map(bare).filter(address => claims.get(address) === 1)
    const draft = [...places, ...claimed.map(address => byAddress.get(address))].find(known => known)
    if (!draft || draft.veth) return true
    setVeth(draft, veth, inside)
    return false
  })
}

/**
 * The attachments without a veth, by namespace and interface; those of which no namespace is recorded by address. A
 * container can give itself any address, so an address never tells more than a namespace.
 */
const placesOf = (drafts: Drafts): Record<'byPlace' | 'byAddress', ReadonlyMap<string, Draft>> => {
  const byPlace = new Map<string, Draft>()
  const byAddress = new Map<string, Draft>()
  for (const draft of drafts.all.filter(({ veth }) => !veth)) {
    const { cached, ifName, leases, portOwner } = draft
    const recorded = leases.find(({ record }) => record?.netns)?.record?.netns ?? portOwner?.netns
    if (recorded) byPlace.set(`${recorded.ino} ${ifName}`, draft)
    if (cached?.netns) byPlace.set(`${cached.netns} ${ifName}`, draft)
    if (recorded || cached?.netns) continue
    for (const { address } of leases) byAddress.set(address, draft)
  }
  return { byPlace, byAddress }
}

/** How many interfaces have an address: of several one took another's, and nothing tells which. */
const addressClaims = (pairs: readonly Pair[]): ReadonlyMap<string, number> => {
  const claims = new Map<string, number>()
  for (const address of pairs.flatMap(({ inside }) => inside.addresses.map(bare)))
    claims.set(address, (claims.get(address) ?? 0) + 1)
  return claims
}

const setVeth = (draft: Draft, veth: HostLink, inside: ContainerInterface | undefined): void => {
  draft.veth = veth
  draft.container = inside
}

const joinFiles = (drafts: Drafts, { leases, cached, portOwners }: Readings): void => {
  for (const entry of cached) drafts.of(entry).cached = entry
  for (const owner of portOwners) drafts.of(owner).portOwner = owner
  for (const lease of leases) {
    const { network, containerID, ifName } = lease
    if (containerID === undefined) continue
    drafts.likely({ network, containerID, ifName }).leases.push(lease)
  }
}

const joinElements = (drafts: Drafts, elements: readonly RulesetElement[]): RulesetElement[] =>
  elements.filter(element => {
    const owner = parseElementComment(element.comment)
    // To look for a comment that is a hash, all attachments known are hashed again after each new one.
    const draft = owner ? drafts.of(owner) : drafts.byComment(element.comment)
    draft?.elements.push(element)
    return !draft
  })

const families = [4, 6] as const

/** The rules of both backends. */
const rulesOf = ({ ruleset, iptables }: Readings): { masquerades: MasqueradeRule[]; ports: PortRule[] } => {
  const lines = families.map(family => ({ family, rules: rulesIn(iptables ?? [], family, 'nat') }))
  return {
    masquerades: [
      ...(ruleset?.masquerades ?? []),
      ...lines.flatMap(({ family, rules }) => masqueradesIn(family, rules)),
    ],
    ports: [...(ruleset?.ports ?? []), ...lines.flatMap(({ family, rules }) => readPortLines(family, rules))],
  }
}

/** How comments name an attachment whose MAC is checked, those of older versions among them. */
const refsOf = (draft: Draft): [string, Draft][] => {
  const ref = spoofCheckRef(draft)
  const comments = [spoofCheckComment(ref), cutSpoofCheckComment(ref)]
  return comments.map(comment => [comment.slice(spoofCheckPrefix.length), draft])
}

const joinRules = (drafts: Drafts, readings: Readings): void => {
  const { masquerades, ports } = rulesOf(readings)
  for (const rule of masquerades) {
    const known = rule.prefix === undefined ? undefined : drafts.byMasquerade(rule.prefix)
    const draft = known ?? drafts.likely(rule, rule.address)
    draft.masquerades.push(rule)
  }
  for (const rule of ports) {
    drafts.likely({ ...rule, ifName: undefined }, rule.dnat?.address).portRules.push(rule)
  }
  const checks = readings.ruleset?.spoofChecks ?? []
  const byRef = new Map(checks.length === 0 ? [] : drafts.all.flatMap(refsOf))
  for (const check of checks) byRef.get(check.ref)?.spoofChecks.push(check)
}

/** Gives each ifb to the attachment its alias names, whose veth leads there, or whose name the reference gave it. */
const joinIfbs = (drafts: Drafts, { links, shaping }: Readings): HostLink[] => {
  const ifbs = links.filter(({ kind, name }) => kind === 'ifb' && name.startsWith(ifbPrefix))
  if (ifbs.length === 0) return []
  const byAlias = new Map(drafts.all.map(draft => [formatAlias(draft), draft]))
  const byVeth = new Map(drafts.all.map(draft => [draft.veth?.index, draft]))
  const byName = new Map(drafts.all.map(draft => [referenceIfbName(draft), draft]))
  const leading = new Map([...(shaping?.redirects ?? [])].map(([from, to]) => [to, from]))
  return ifbs.filter(ifb => {
    const named = parseAlias(ifb.alias)
    const known = byAlias.get(ifb.alias) ?? (named && drafts.of(named))
    const from = leading.get(ifb.index)
    const draft = known ?? (from === undefined ? undefined : byVeth.get(from)) ?? byName.get(ifb.name)
    draft?.ifbs.push(ifb)
    return !draft
  })
}

/** A port between a bridge and an interface of the host itself, as VLANs have: without an owner, but no leftover. */
const isInternal = (veth: HostLink): boolean => veth.peer !== 0 && veth.peerNsid === undefined

/** Joins everything. */
export const join = (readings: Readings): Joined => {
  const drafts = new Drafts()
  joinFiles(drafts, readings)
  const unnamed = joinVeths(drafts, readings)
  const elements = joinElements(drafts, readings.ruleset?.elements ?? [])
  joinRules(drafts, readings)
  const ifbs = joinIfbs(drafts, readings)
  const bridges = new Set(readings.networks.map(({ bridge }) => bridge).filter(name => name !== undefined))
  const masters = new Set(readings.links.filter(({ name }) => bridges.has(name)).map(({ index }) => index))
  const strangers = unnamed.filter(veth => masters.has(veth.master) && !isInternal(veth))
  return { drafts: drafts.all, strangers, elements, ifbs }
}
