import { CniError, ErrorCode, quote } from '../../src/cni/error'
import { type Addr, compareAddr, formatAddr, parseAddr } from '../../src/ip/addr'
import { lastAddr, networkOf, parseCidr } from '../../src/ip/cidr'

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
