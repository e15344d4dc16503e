/** An object outside of this process that refused a request; 'signal' is who told the process to end. */
type Source =
  | 'file'
  | 'netlink'
  | 'netns'
  | 'lock'
  | 'program'
  | 'iptables'
  | 'signal'
  | 'socket'
  | 'API server'

type SystemErrorOptions = {
  /** The action and its object. */
  readonly message: string
  /** For programs to compare, as node:fs has it: an errno's name such as "EEXIST"; else a word of the source's own. */
  readonly code: string
  /** The other side's own words and the remedy. */
  readonly details?: string
  /** The system call, as node:fs names it, of a failure that is one of a file. */
  readonly syscall?: string
  readonly cause?: unknown
}

/**
 * The kernel, another program or a server refused what it was asked for, or did not answer. Where such a failure reaches a
 * runtime, CniError.from() gives it a code of the specification.
 */
export class SystemError extends Error {
  readonly source: Source
  readonly code: string
  readonly details: string
  /** Not there at all for most: a failure with it is one of a file. */
  declare readonly syscall?: string

  constructor(source: Source, { message, code, details = '', syscall, cause }: SystemErrorOptions) {
    super(message, cause === undefined ? undefined : { cause })
    this.source = source
    this.code = code
    this.details = details
    if (syscall !== undefined) Object.assign(this, { syscall })
  }
}

/** Was it this source that refused? With one of these codes, if any are named. */
export const isFrom = (error: unknown, source: Source, ...codes: readonly string[]): error is SystemError =>
  error instanceof SystemError &&
  error.source === source &&
  (codes.length === 0 || codes.includes(error.code))
