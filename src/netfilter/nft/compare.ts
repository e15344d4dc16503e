/** Comparing a rule as the kernel lists it with one to be added. */

import { type Attributes, type NftAttribute, readAttributes, readText } from '../../netlink/wire/message'
import { type NftRule, ruleExpressions } from './rule'
import type { Expression, ReadExpression } from './wire/expression'
import type { NftFamily } from './wire/message'
import type { ReadRule } from './wire/rule'

const hasValue = (found: Buffer | undefined, value: NftAttribute[1]): boolean => {
  if (value === undefined) return true
  if (found === undefined) return false
  if (typeof value === 'number') return found.length === 4 && found.readUInt32BE(0) === value >>> 0
  if (typeof value === 'string') return readText(found) === value
  if (value instanceof Uint8Array) return found.equals(value)
  return hasAll(readAttributes(found), value)
}

/** Are all attributes there? The kernel lists some besides, which it fills in itself. */
const hasAll = (found: Attributes, wanted: readonly NftAttribute[]): boolean =>
  wanted.every(([type, value]) => hasValue(found.get(type), value))

/** <linux/netfilter/nf_tables.h>: to these flags of "nat" the kernel adds what the registers imply. */
const NFTA_NAT_FLAGS = 7

const comparable = ({ name, attributes }: Expression): NftAttribute[] =>
  attributes.filter(([type]) => name !== 'nat' || type !== NFTA_NAT_FLAGS)

const areSteps = (found: readonly ReadExpression[], wanted: readonly Expression[]): boolean =>
  found.length === wanted.length &&
  wanted.every((expression, i) => {
    const step = found[i]
    return step?.name === expression.name && hasAll(step.attributes, comparable(expression))
  })

/**
 * The rules that are not among those the kernel lists, whatever their comments. Rules that stand in the order they
 * were added in are found at the first look.
 */
export const missingRules = <T extends { readonly rule: NftRule }>(
  found: readonly ReadRule[],
  family: NftFamily,
  wanted: readonly T[],
): T[] => {
  const steps = found.map(({ expressions }) => expressions)
  let next = 0
  return wanted.filter(({ rule }) => {
    const expressions = ruleExpressions(family, rule)
    for (let tried = 0; tried < steps.length; tried++) {
      const at = (next + tried) % steps.length
      if (!areSteps(steps[at] ?? [], expressions)) continue
      next = at + 1
      return false
    }
    return true
  })
}

/** Are these exactly the rules of a chain, in this order? */
export const areRules = (
  found: readonly ReadRule[],
  family: NftFamily,
  wanted: readonly NftRule[],
): boolean =>
  found.length === wanted.length &&
  wanted.every((rule, i) => areSteps(found[i]?.expressions ?? [], ruleExpressions(family, rule)))
