/** The doctor's report on a node, line by line. */

import type { CliIo } from '../../node/command/io'
import type { Places } from '../../node/command/places'
import { type FaultCode, faults } from '../../node/survey/faults'
import type { Finding, Repair } from '../../node/survey/finding'
import type { Survey } from '../../node/survey/survey'

/** "unknown": it could not be looked at. */
export type Status = 'ok' | 'warn' | 'fail' | 'unknown'

/** One line. */
export type Diagnosis = {
  readonly status: Status
  /** The fault; undefined for a line that names none. */
  readonly code: FaultCode | undefined
  /** The object of the check, in a word or two: "forwarding". Scripts go by it. */
  readonly check: string
  readonly says: string
  /** The remedy; "" where there is nothing to do. */
  readonly remedy: string
  /** How --fix puts it right; undefined where it would not do that unasked. */
  readonly repair: Repair | undefined
  /** The mismatches it tells of, where they are the survey's. */
  readonly findings?: readonly Finding[]
}

/** What the checks must go by. */
export type Patient = { readonly survey: Survey; readonly places: Places; readonly io: CliIo }

/** One check: it looks at one thing and says at least one line of it. */
export type Check = (patient: Patient) => Diagnosis[] | Promise<Diagnosis[]>

export const ok = (check: string, says: string): Diagnosis => ({
  status: 'ok',
  code: undefined,
  check,
  says,
  remedy: '',
  repair: undefined,
})

type Trouble = Pick<Diagnosis, 'says' | 'remedy' | 'findings'> & { readonly repair?: Repair | undefined }

/** The line of a fault, with the severity and the check that the table of faults has for it. */
export const fault = (code: FaultCode, { says, remedy, repair, findings }: Trouble): Diagnosis => ({
  status: faults[code].severity,
  code,
  check: faults[code].check,
  says,
  remedy,
  repair,
  ...(findings && { findings }),
})

/** Something that could not be looked at. */
export const notSeen = (check: string, why: string, remedy = 'run it as root'): Diagnosis => ({
  status: 'unknown',
  code: undefined,
  check,
  says: `not looked at: ${why}`,
  remedy,
  repair: undefined,
})

/** The lines of a check, or one that all is well. */
export const orOk = (found: readonly Diagnosis[], check: string, says: string): Diagnosis[] =>
  found.length > 0 ? [...found] : [ok(check, says)]
