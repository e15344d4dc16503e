/** A fault as tables have it: its severity, and what one says of it before a node is looked at. */

/** "fail": something does not work, or soon will not. "warn": something is in the way. */
export type Severity = 'warn' | 'fail'

export type Fault = {
  readonly severity: Severity
  /** The object of the check, in a word or two. */
  readonly check: string
  /** The short name that findings of the survey have besides, which `inspect --json` and the metrics print. */
  readonly kind?: string | undefined
  readonly title: string
  /** The usual reason. */
  readonly cause: string
  readonly remedy: string
}

const fault =
  (severity: Severity) =>
  <K extends string | undefined = undefined>(
    check: string,
    title: string,
    cause: string,
    remedy: string,
    kind?: K,
  ) => ({ severity, check, title, cause, remedy, kind })

/** Rows of such a table: check, title, usual cause, remedy, and the kind of the survey's findings. */
export const fail = fault('fail')
export const warn = fault('warn')
