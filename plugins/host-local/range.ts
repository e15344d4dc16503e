/** Ranges of addresses, and sets of them. */
import { CniError, ErrorCode, quote } from '../../src/cni/error'
import { type Addr, compareAddr, formatAddr, parseAddr, widthOf } from '../../src/ip/addr'
import {
  type Cidr,
  cidrContains,
  firstHost,
  formatCidr,
  isNetwork,
  lastAddr,
  networkOf,
  parseCidr,
} from '../../src/ip/cidr'

/** All addresses from `start` to `end`, both included and of one family. */
export type Span = { readonly start: Addr; readonly end: Addr }

export const inSpan = (span: Span, addr: Addr): boolean =>
  addr.family === span.start.family && compareAddr(addr, span.start) >= 0 && compareAddr(addr, span.end) <= 0

/** Have the two spans an address in common? */
export const spansOverlap = (a: Span, b: Span): boolean => inSpan(a, b.start) || inSpan(b, a.start)

/** The span as errors show it: "10.1.2.1-10.1.2.254". */
export const formatSpan = (span: Span): string => `${formatAddr(span.start)}-${formatAddr(span.end)}`

/** Reads an entry of the list `key`: an address, a network, or "first-last". Throws code 7. */
export const parseSpan = (text: string, key: string): Span => {
  const network = parseCidr(text)
  if (network) return { start: networkOf(network).addr, end: lastAddr(network) }
  const [first = '', last = first, ...rest] = text.split('-', 3)
  const start = parseAddr(first.trim())
  const end = parseAddr(last.trim())
  const inOrder = start && end && start.family === end.family && compareAddr(start, end) <= 0
  if (inOrder && rest.length === 0) return { start, end }
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `"${key}": ${quote(text)} is no address, network or span "first-last"`,
  )
}

/** How many addresses of `whole` the spans cover, each counted once. */
export const countCovered = (whole: Span, spans: readonly Span[]): bigint => {
  const inside = spans
    .filter(span => spansOverlap(whole, span))
    .map(span => ({
      start: compareAddr(span.start, whole.start) > 0 ? span.start.bits : whole.start.bits,
      end: compareAddr(span.end, whole.end) < 0 ? span.end.bits : whole.end.bits,
    }))
    .sort((a, b) => (a.start < b.start ? -1 : 1))
  let covered = 0n
  let reached = whole.start.bits - 1n
  for (const { start, end } of inside) {
    const from = start > reached ? start : reached + 1n
    if (end >= from) covered += end - from + 1n
    if (end > reached) reached = end
  }
  return covered
}

/** A span of one subnet, complete: what was left out of the configuration is filled in. */
export type Range = Span & { readonly subnet: Cidr; readonly gateway: Addr }

/** Ranges of one family of which the container gets one address. */
export type RangeSet = { readonly ranges: readonly [Range, ...Range[]] }

/** A range as it is configured. */
export type RangeInput = {
  subnet?: Cidr | undefined
  rangeStart?: Addr | undefined
  rangeEnd?: Addr | undefined
  gateway?: Addr | undefined
}

const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, message)

const checkSubnet = (subnet: Cidr): void => {
  if (subnet.prefix > widthOf(subnet.addr.family) - 2) {
    throw invalid(`Network ${formatCidr(subnet)} too small to allocate from`)
  }
  if (!isNetwork(subnet)) {
    throw invalid(
      `Network has host bits set. For a subnet mask of length ${subnet.prefix} the network address is ` +
        formatAddr(networkOf(subnet).addr),
    )
  }
}

/** Completes and checks a range as the reference does; the texts are the reference's. */
const completeRange = ({ subnet, rangeStart, rangeEnd, gateway }: RangeInput): Range => {
  if (!subnet) throw invalid('a range needs a "subnet"')
  checkSubnet(subnet)
  const first = firstHost(subnet)
  const last = lastAddr(subnet)
  // An IPv4 network's last address is its broadcast address.
  const lastUsable = last.family === 4 ? { ...last, bits: last.bits - 1n } : last
  const start = rangeStart ?? first
  const end = rangeEnd ?? lastUsable
  // The reference blames a start that is behind the end, unless the end is no address of the family.
  const behindEnd = rangeEnd?.family === start.family && compareAddr(start, rangeEnd) > 0
  if (rangeStart && (!cidrContains(subnet, start) || behindEnd)) {
    throw invalid(`RangeStart ${formatAddr(start)} not in network ${formatCidr(subnet)}`)
  }
  if (!cidrContains(subnet, end) || compareAddr(end, start) < 0) {
    throw invalid(`RangeEnd ${formatAddr(end)} not in network ${formatCidr(subnet)}`)
  }
  return { subnet, start, end, gateway: gateway ?? first }
}

const completeSet = (inputs: readonly RangeInput[]): RangeSet => {
  const [first, ...rest] = inputs.map(completeRange)
  if (!first) throw invalid('empty range set')
  const ranges = [first, ...rest] as const
  if (rest.some(range => range.start.family !== first.start.family)) throw invalid('mixed address families')
  ranges.forEach((range, i) => {
    const other = ranges.slice(i + 1).find(later => spansOverlap(range, later))
    if (other) throw invalid(`subnets ${formatSpan(range)} and ${formatSpan(other)} overlap`)
  })
  return { ranges: [first, ...rest] }
}

/** Completes and checks a range set; throws code 7 with the set's index in front. */
export const rangeSet = (inputs: readonly RangeInput[], index: number): RangeSet => {
  try {
    return completeSet(inputs)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(error.code, `invalid range set ${index}: ${error.message}`)
  }
}

export const setsOverlap = (a: RangeSet, b: RangeSet): boolean =>
  a.ranges.some(range => b.ranges.some(other => spansOverlap(range, other)))

/** The range of the set that holds `addr`; undefined if none does. */
export const rangeOf = (set: RangeSet, addr: Addr): Range | undefined =>
  set.ranges.find(range => inSpan(range, addr))

/** Is the address, given as text, one of the set? */
export const contains = (set: RangeSet, address: string): boolean => {
  const addr = parseAddr(address)
  return addr !== undefined && rangeOf(set, addr) !== undefined
}

/** The set as errors show it: "10.1.2.1-10.1.2.254,10.1.3.1-10.1.3.9". */
export const formatRangeSet = (set: RangeSet): string => set.ranges.map(formatSpan).join(',')

/** The part of a range that is given out only on request: its gateway, which is never, and the exclusions. */
const withheld = (range: Range, excluded: readonly Span[]): Span[] => [
  { start: range.gateway, end: range.gateway },
  ...excluded,
]

/** How many addresses the set can give out in all. */
export const capacityOf = (set: RangeSet, excluded: readonly Span[]): bigint => {
  let total = 0n
  for (const range of set.ranges) {
    total += range.end.bits - range.start.bits + 1n - countCovered(range, withheld(range, excluded))
  }
  return total
}

/** Is `addr` one of those that `capacityOf` counts? */
export const isAllocatable = (set: RangeSet, excluded: readonly Span[], addr: Addr): boolean => {
  const range = rangeOf(set, addr)
  return range !== undefined && !withheld(range, excluded).some(span => inSpan(span, addr))
}

/** The pieces of the set in the order they are searched: what follows `last`, the other ranges, what is up to it. */
const searchOrder = ({ ranges }: RangeSet, last: Addr | undefined): { range: Range; span: Span }[] => {
  const at = last === undefined ? -1 : ranges.findIndex(range => inSpan(range, last))
  const head = ranges[at]
  if (!head || !last) return ranges.map(range => ({ range, span: range }))
  const others = [...ranges.slice(at + 1), ...ranges.slice(0, at)]
  return [
    { range: head, span: { start: { ...last, bits: last.bits + 1n }, end: head.end } },
    ...others.map(range => ({ range, span: range })),
    { range: head, span: { start: head.start, end: last } },
  ]
}

/**
 * The addresses of the set in the order they are tried, with the range each is of: from the one after `last` to the
 * end, through the other ranges, and round to `last` itself; gateways and exclusions are skipped.
 */
export function* candidates(
  set: RangeSet,
  last: Addr | undefined,
  excluded: readonly Span[],
): Generator<{ addr: Addr; range: Range }> {
  for (const { range, span } of searchOrder(set, last)) {
    const passedOver = withheld(range, excluded)
    for (let { bits } = span.start; bits <= span.end.bits; bits++) {
      const addr = { family: span.start.family, bits }
      const skipped = passedOver.find(other => inSpan(other, addr))
      // An exclusion may be as large as half of an IPv6 network: over it in one step.
      if (skipped) bits = skipped.end.bits
      else yield { addr, range }
    }
  }
}
