import { RuleContext } from './dependency'
import type { Statement } from './match'
import type { Expression } from './wire/expression'
import type { NftFamily } from './wire/nfnetlink'

/** A rule to add: its steps in order, and a note by which it is found again. */
export type NftRule = { readonly statements: readonly Statement[]; readonly comment?: string | undefined }

/**
 * A rule of conditions and what to do then. The comment has at most 128 bytes.
 * `rule([eq(ipSaddr, addr), neq(ipDaddr, cidr), masquerade()], { comment: 'c0ffee' })` is
 * `ip saddr 10.0.0.2 ip daddr != 10.0.0.0/24 masquerade comment "c0ffee"`.
 */
export const rule = (
  statements: readonly Statement[],
  { comment }: { comment?: string | undefined } = {},
): NftRule => ({ statements, comment })

/** The rule's expressions in a table of that family, with the matches its headers depend on. */
export const ruleExpressions = (family: NftFamily, { statements }: NftRule): Expression[] => {
  const context = new RuleContext(family)
  const expressions: Expression[] = []
  for (const statement of statements) expressions.push(...statement(context))
  return expressions
}
