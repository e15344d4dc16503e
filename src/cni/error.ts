import { errnoOf, isFileError, isTransient } from '../host/errno'
import { printable } from '../host/output'
import { isFrom } from '../host/system-error'

/**
 * The codes an error object may carry: SPEC.md, "Error", and skel's own for a wrong netns (8). Every unforeseen failure
 * is `internal`.
 */
export const ErrorCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidNetworkConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  limitedConnectivity: 51,
  internal: 999,
} as const

export type CniErrorOptions = {
  /** The words of the kernel or another program, and the remedy. Joined from the causes if left out. */
  details?: string
  cause?: unknown
}

/** The error object that the runtime reads on stdout when a command fails. */
export class CniError extends Error {
  readonly code: number
  readonly #details: string | undefined

  constructor(code: number, message: string, options: CniErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.#details = options.details
  }

  /** The kernel's own words and the remedy: what was given, else the messages of the causes, outermost first. */
  get details(): string {
    return this.#details ?? causesOf(this)
  }

  /** Any thrown value as an error object: itself, or with the code of "internal". */
  static from(error: unknown): CniError {
    if (error instanceof CniError) return error
    if (error instanceof AggregateError && error.errors.length > 0) return CniError.join(error.errors)
    if (!(error instanceof Error)) return new CniError(ErrorCode.internal, String(error))
    const said = 'details' in error && typeof error.details === 'string' ? error.details : ''
    return new CniError(codeOf(error), error.message, { details: said || causesOf(error), cause: error })
  }

  /** Several failures as one: the first one's code, all messages. */
  static join(errors: readonly unknown[]): CniError {
    const all = errors.map(error => CniError.from(error))
    const [first] = all
    if (first && all.length === 1) return first
    return new CniError(first?.code ?? ErrorCode.internal, all.map(error => error.message).join('; '), {
      details: all
        .map(error => error.details)
        .filter(Boolean)
        .join('; '),
    })
  }
}

/** The message of an error, with the words of the program or the kernel. */
export const saidBy = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join('; ')
}

/** The code for a failure without one: what passes by itself, what node:fs failed at, or "internal". */
const codeOf = (error: Error): number => {
  const errno = errnoOf(error)
  if (isFrom(error, 'signal') || (errno && isTransient(errno))) return ErrorCode.tryAgainLater
  // setns(2) of a namespace of another kind.
  if (isFrom(error, 'netns', 'EINVAL')) return ErrorCode.invalidNetns
  return isFileError(error) ? ErrorCode.ioFailure : ErrorCode.internal
}

const causesOf = (error: Error): string => {
  const messages: string[] = []
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) messages.push(cause.message)
  return messages.join(': ')
}

/** As much of a text as people read. */
const readableLength = 200

/** A text of up to `most` characters: the beginning of a longer one, and how long that is. */
export const shorten = (text: string, most: number = readableLength): string =>
  text.length <= most ? text : `${text.slice(0, most)}… (${text.length} characters)`

/** A given value, as errors show it: in JSON, and of a long one the beginning. */
export const quote = (value: unknown, most: number = readableLength): string =>
  typeof value === 'string' && value.length > most
    ? `${JSON.stringify(value.slice(0, most))}… (${value.length} characters)`
    : shorten(JSON.stringify(value) ?? 'undefined', most * 2)

/** Enough for the failures of many attachments, and little enough for the runtime's log. */
const maxAnswerLength = 16 * 1024

/** The error object of SPEC.md, as it goes to stdout. It may quote foreign words, and runtimes' logs are read in terminals. */
export const formatError = (error: CniError, cniVersion: string): string => {
  const details = shorten(error.details, maxAnswerLength)
  const msg = shorten(error.message, maxAnswerLength)
  const object = { cniVersion, code: error.code, msg, ...(details && { details }) }
  return printable(JSON.stringify(object))
}

/** Runs every step, also when an earlier one fails; then throws what failed, all of it. */
export const runAll = async (steps: readonly (() => void | Promise<void>)[]): Promise<void> => {
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      await step()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw CniError.join(failures)
}
