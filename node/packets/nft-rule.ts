/** One rule of nftables on one packet: its steps are done as the kernel does them, with facts that may not be known. */
import type { ReadExpression } from '../../src/netfilter/nft/wire/expression'
import { readData } from '../../src/netfilter/nft/wire/expression'
import {
  isSetting,
  NFT_CMP_EQ,
  NFT_CMP_GT,
  NFT_CMP_LT,
  NFT_CMP_LTE,
  NFT_CMP_NEQ,
  readBitwise,
  readCmp,
  readCt,
  readLookup,
  readMeta,
  readPayload,
  readRange,
} from '../../src/netfilter/nft/wire/match'
import { NFT_SET_ELEM_INTERVAL_END, type ReadEntry } from '../../src/netfilter/nft/wire/set'
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_GOTO,
  NFT_JUMP,
  NFT_RETURN,
  type ReadVerdict,
  readImmediate,
  readVerdict,
  readVerdictData,
} from '../../src/netfilter/nft/wire/statement'
import { ctOf, metaOf, payloadOf } from './nft-facts'
import type { JudgedRule, Match, Packet } from './packet'
import { Registers } from './registers'

/** What a rule needs besides the packet. */
export type NftSurroundings = {
  readonly entriesOf: (set: string) => readonly ReadEntry[]
  readonly indexOf: (interfaceName: string) => number | undefined
}

type Judged = Pick<JudgedRule, 'match' | 'action'>

const yesIf = (holds: boolean): Match => (holds ? 'yes' : 'no')

/** Steps that neither let a packet pass nor keep it, and that every packet passes. */
const passive = new Set(['counter', 'log', 'notrack', 'objref', 'dup', 'dynset', 'flow_offload', 'last'])

const actionOf = ({ code, chain }: ReadVerdict): JudgedRule['action'] => {
  if (code === NF_DROP || code === NF_ACCEPT) return { do: code === NF_DROP ? 'drop' : 'accept' }
  if (code === NFT_RETURN) return { do: 'return' }
  if (code === NFT_JUMP || code === NFT_GOTO) return { do: code === NFT_JUMP ? 'jump' : 'goto', chain }
  return undefined
}

const holds = (order: number, op: number): boolean => {
  if (op === NFT_CMP_EQ) return order === 0
  if (op === NFT_CMP_NEQ) return order !== 0
  if (op === NFT_CMP_LT) return order < 0
  if (op === NFT_CMP_LTE) return order <= 0
  return op === NFT_CMP_GT ? order > 0 : order >= 0
}

/** A name with an asterisk is compared by its beginning alone: as many bytes as the rule has. */
const compared = (registers: Registers, step: ReadExpression): Match | undefined => {
  const cmp = readCmp(step)
  if (cmp) {
    const value = registers.get(cmp.sreg, cmp.value.length)
    return value ? yesIf(holds(Buffer.compare(value, cmp.value), cmp.op)) : 'maybe'
  }
  const range = readRange(step)
  if (!range) return undefined
  const value = registers.get(range.sreg, range.from.length)
  if (!value) return 'maybe'
  const isIn = Buffer.compare(value, range.from) >= 0 && Buffer.compare(value, range.to) <= 0
  return yesIf(isIn !== range.isInverse)
}

/** The element that a key is in; null if it cannot be told. */
const entryFor = (entries: readonly ReadEntry[], key: Buffer): ReadEntry | undefined | null => {
  if (entries.some(({ keyEnd }) => keyEnd)) return null // ranges of concatenations
  const isInterval = entries.some(({ flags }) => flags & NFT_SET_ELEM_INTERVAL_END)
  const all = entries.filter(({ key: own }) => own === undefined)
  const keyed = entries.flatMap(entry => (entry.key ? [{ entry, own: entry.key }] : []))
  if (!isInterval) return (keyed.find(({ own }) => own.equals(key)) ?? { entry: all[0] }).entry
  const [last] = keyed
    .filter(({ own }) => Buffer.compare(own, key) <= 0)
    .sort((a, b) => Buffer.compare(b.own, a.own) || (b.entry.flags ? -1 : 1))
  return last && !(last.entry.flags & NFT_SET_ELEM_INTERVAL_END) ? last.entry : all[0]
}

/** Looks a key up: whether it is there, and the verdict of a map of verdicts. */
const lookedUp = (
  registers: Registers,
  step: ReadExpression,
  { entriesOf }: NftSurroundings,
): Judged | undefined => {
  const lookup = readLookup(step)
  if (!lookup) return undefined
  const entries = entriesOf(lookup.set)
  const width = entries.find(({ key }) => key)?.key?.length ?? 0
  const key = registers.get(lookup.sreg, width)
  const entry = entries.length === 0 ? undefined : key ? entryFor(entries, key) : null
  if (entry === null) {
    if (lookup.dreg) registers.forget(lookup.dreg)
    const accepts = lookup.dreg === 0 && entries.some(({ data }) => readVerdictData(data)?.code !== NF_DROP)
    return { match: 'maybe', action: accepts ? { do: 'accept' } : undefined }
  }
  const match = yesIf((entry !== undefined) !== lookup.isInverse)
  if (lookup.dreg) registers.set(lookup.dreg, [...(readData(entry?.data) ?? [])])
  const verdict = lookup.dreg === 0 ? readVerdictData(entry?.data) : undefined
  return { match, action: verdict && actionOf(verdict) }
}

/** Does a step that fills a register; false for any other. */
const loaded = (
  registers: Registers,
  step: ReadExpression,
  packet: Packet,
  { indexOf }: NftSurroundings,
): boolean => {
  const meta = readMeta(step)
  const ct = readCt(step)
  const payload = readPayload(step)
  const bits = readBitwise(step)
  const value = readImmediate(step)
  if (meta) registers.set(meta.dreg, metaOf(packet, meta.key, indexOf))
  else if (ct) registers.set(ct.dreg, ctOf(packet, ct.key))
  else if (payload) registers.set(payload.dreg, payloadOf(packet, payload))
  else if (bits) {
    const bytes = registers.slice(bits.sreg, bits.mask.length)
    const masked = bytes.map((byte, i) => {
      const mask = bits.mask[i] ?? 0
      if (mask !== 0 && byte === undefined) return undefined
      return ((byte ?? 0) & mask) ^ (bits.xor[i] ?? 0)
    })
    registers.set(bits.dreg, masked)
  } else if (value)
    registers.forgetAll() // a new mark or what addresses are translated to, which no later step compares
  else return false
  return true
}

/** The rule's steps on a packet, one after the other, until one does not match. One that may set its mark does so. */
export const judgeRule = (
  steps: readonly ReadExpression[],
  packet: Packet,
  surroundings: NftSurroundings,
): Judged => {
  const registers = new Registers()
  let match: Match = 'yes'
  for (const step of steps) {
    const verdict = readVerdict(step)
    if (verdict) return { match, action: actionOf(verdict) }
    if (step.name === 'reject') return { match, action: { do: 'drop' } }
    // A program decides.
    if (step.name === 'queue') return { match: 'maybe', action: { do: 'accept' } }
    if (isSetting(step)) {
      // Most of these set the mark.
      packet.mark.isZero = false
      continue
    }
    if (passive.has(step.name) || loaded(registers, step, packet, surroundings)) continue
    const found = lookedUp(registers, step, surroundings)
    const answer = found?.match ?? compared(registers, step)
    if (answer === 'no') return { match: 'no', action: undefined }
    // A step that is not understood may end the rule, and may put anything into any register.
    if (answer === undefined) registers.forgetAll()
    if (answer !== 'yes') match = 'maybe'
    if (found?.action) return { match, action: found.action }
  }
  return { match, action: undefined }
}
