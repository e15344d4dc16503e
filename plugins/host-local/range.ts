import { CniError, ErrorCode } from '../../src/cni/error'
import { type Addr, addrEquals, compareAddr, formatAddr, parseAddr, widthOf } from '../../src/ip/addr'
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

/** All addresses from `start` to `end`, both included. */
export type Span = { readonly start: Addr; readonly end: Addr }

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

export const inSpan = (span: Span, addr: Addr): boolean =>
  addr.family === span.start.family && compareAddr(addr, span.start) >= 0 && compareAddr(addr, span.end) <= 0

/** Completes and checks a range as the reference does; the texts are the reference's. */
const completeRange = ({ subnet, rangeStart, rangeEnd, gateway }: RangeInput): Range => {
  if (!subnet) throw invalid('a range needs a "subnet"')
  if (subnet.prefix > widthOf(subnet.addr.family) - 2) {
    throw invalid(`Network ${formatCidr(subnet)} too small to allocate from`)
  }
  if (!isNetwork(subnet)) {
    throw invalid(
      `Network has host bits set. For a subnet mask of length ${subnet.prefix} the network address is ` +
        formatAddr(networkOf(subnet).addr),
    )
  }
  const first = firstHost(subnet)
  const last = lastAddr(subnet)
  // An IPv4 network's last address is its broadcast address.
  const lastUsable = last.family === 4 ? { ...last, bits: last.bits - 1n } : last
  const start = rangeStart ?? first
  const end = rangeEnd ?? lastUsable
  if (!cidrContains(subnet, start)) {
    throw invalid(`RangeStart ${formatAddr(start)} not in network ${formatCidr(subnet)}`)
  }
  if (!cidrContains(subnet, end) || compareAddr(end, start) < 0) {
    throw invalid(`RangeEnd ${formatAddr(end)} not in network ${formatCidr(subnet)}`)
  }
  return { subnet, start, end, gateway: gateway ?? first }
}

const overlap = (a: Span, b: Span): boolean => inSpan(a, b.start) || inSpan(b, a.start)

/** Completes and checks a range set; throws code 7 with the set's index in front. */
export const rangeSet = (inputs: readonly RangeInput[], index: number): RangeSet => {
  try {
    const [first, ...rest] = inputs.map(completeRange)
    if (!first) throw invalid('empty range set')
    const ranges = [first, ...rest] as const
    if (rest.some(range => range.start.family !== first.start.family)) throw invalid('mixed address families')
    ranges.forEach((range, i) => {
      const other = ranges.slice(i + 1).find(later => overlap(range, later))
      if (other) throw invalid(`subnets ${formatSpan(range)} and ${formatSpan(other)} overlap`)
    })
    return { ranges: [first, ...rest] }
  } catch (error) {
    if (error instanceof CniError)
      throw new CniError(error.code, `invalid range set ${index}: ${error.message}`)
    throw error
  }
}

export const setsOverlap = (a: RangeSet, b: RangeSet): boolean =>
  a.ranges.some(range => b.ranges.some(other => overlap(range, other)))

/** The range of the set that holds `addr`; undefined if none does. */
export const rangeOf = (set: RangeSet, addr: Addr): Range | undefined =>
  set.ranges.find(range => inSpan(range, addr))

const formatSpan = (span: Span): string => `${formatAddr(span.start)}-${formatAddr(span.end)}`

/** The set as errors show it: "10.1.2.1-10.1.2.254,10.1.3.1-10.1.3.9". */
export const formatRangeSet = (set: RangeSet): string => set.ranges.map(formatSpan).join(',')

/** Reads an exclusion: an address, a network, or "first-last". Throws code 7. */
export const parseSpan = (text: string): Span => {
  const network = parseCidr(text)
  if (network) return { start: networkOf(network).addr, end: lastAddr(network) }
  const [first = '', last = first] = text.split('-')
  const start = parseAddr(first.trim())
  const end = parseAddr(last.trim())
  if (start && end && start.family === end.family && compareAddr(start, end) <= 0) return { start, end }
  throw invalid(`"exclude": ${JSON.stringify(text)} is no address, network or span "first-last"`)
}

/** How many addresses the set can give out in all. */
export const capacityOf = (set: RangeSet, excluded: readonly Span[]): bigint => {
  let total = 0n
  for (const range of set.ranges) {
    total += range.end.bits - range.start.bits + 1n
    const overlaps = excluded.filter(span => overlap(range, span))
    total -= coveredBy(range, [...overlaps, { start: range.gateway, end: range.gateway }])
  }
  return total
}

/** How many addresses of `range` the spans cover, each counted once. */
const coveredBy = (range: Span, spans: readonly Span[]): bigint => {
  const inside = spans
    .filter(span => overlap(range, span))
    .map(span => ({
      start: compareAddr(span.start, range.start) > 0 ? span.start.bits : range.start.bits,
      end: compareAddr(span.end, range.end) < 0 ? span.end.bits : range.end.bits,
    }))
    .sort((a, b) => (a.start < b.start ? -1 : 1))
  let covered = 0n
  let reached = range.start.bits - 1n
  for (const { start, end } of inside) {
    const from = start > reached ? start : reached + 1n
    if (end >= from) covered += end - from + 1n
    if (end > reached) reached = end
  }
  return covered
}

/**
 * The addresses of the set in the order they are tried, with the range each is of: from the one after `last` to the
 * end, through the other ranges, and round to `last` itself; gateways and exclusions are passed over.
 */
export function* candidates(
  set: RangeSet,
  last: Addr | undefined,
  excluded: readonly Span[],
): Generator<{ addr: Addr; range: Range }> {
  const { ranges } = set
  const at = last === undefined ? -1 : ranges.findIndex(range => inSpan(range, last))
  const first = at < 0 || last === undefined ? undefined : { index: at, bits: last.bits + 1n }
  const spans: { range: Range; from: bigint; to: bigint }[] = []
  const from = first?.index ?? 0
  for (let i = 0; i < ranges.length; i++) {
    const range = ranges[(from + i) % ranges.length]
    if (!range) continue
    const start = i === 0 && first ? first.bits : range.start.bits
    spans.push({ range, from: start, to: range.end.bits })
  }
  const head = ranges[from]
  if (head && first) spans.push({ range: head, from: head.start.bits, to: first.bits - 1n })
  for (const span of spans) {
    for (let bits = span.from; bits <= span.to; bits++) {
      const addr = { family: span.range.start.family, bits }
      if (addrEquals(addr, span.range.gateway)) continue
      if (excluded.some(other => inSpan(other, addr))) continue
      yield { addr, range: span.range }
    }
  }
}
