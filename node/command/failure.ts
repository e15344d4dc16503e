import { CniError } from '../../src/cni/error'
import { errnoOf, errnoText } from '../../src/host/errno'

/** The exit code of the process. */
export const ExitCode = {
  done: 0,
  /** It failed, or what was looked at is not as it should be. */
  failed: 1,
  /** An unknown command or option, or a value that cannot be. */
  usage: 2,
  /** The network, namespace or plugin that was named is not there. */
  notFound: 3,
  /** The user may not do that. */
  notPermitted: 4,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** A failure of the command line: what is wrong, and what to do about it. */
export class CliError extends Error {
  readonly exitCode: ExitCode
  readonly remedy: string

  constructor(exitCode: ExitCode, message: string, remedy = '', options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
    this.remedy = remedy
  }
}

/** A value of the command line or the environment that cannot be. */
export const usageError = (message: string, remedy = ''): CliError =>
  new CliError(ExitCode.usage, message, remedy)

/** A failure in the words of one line, and as the object that --json prints. */
type Failure = {
  readonly exitCode: ExitCode
  readonly message: string
  readonly details: string
  readonly remedy: string
  /** The CNI specification's code, if a plugin or the runtime gave one. */
  readonly code: number | undefined
}

const denials = ['EACCES', 'EPERM']

/** The errno of the innermost failure that has one. */
const rootErrno = (error: unknown): string | undefined => {
  let found: string | undefined
  for (let at = error; at instanceof Error; at = at.cause) found = errnoOf(at) ?? found
  return found
}

const textOf = (error: Error, key: 'syscall' | 'path' | 'dest'): string | undefined => {
  const value: unknown = Reflect.get(error, key)
  return typeof value === 'string' ? value : undefined
}

/** The purpose of system calls whose names do not say it. */
const verbs: Record<string, string> = { access: 'write to', mkdir: 'make', scandir: 'read' }

/** A failed system call in this project's words: `rename "a" to "b": no space left on device`. */
const systemMessage = (error: Error): string | undefined => {
  const syscall = textOf(error, 'syscall')
  const errno = errnoOf(error)
  if (!syscall || !errno) return undefined
  const objects = [textOf(error, 'path'), textOf(error, 'dest')].filter(path => path !== undefined)
  const what = [verbs[syscall] ?? syscall, objects.map(path => `"${path}"`).join(' to ')]
    .filter(Boolean)
    .join(' ')
  return `${what}: ${errnoText(errno) || errno}`
}

const asRoot = 'run it as root'

/** The innermost words on a failed system call; undefined if none is at the root. */
const causeOf = (error: Error): string | undefined => {
  let found: string | undefined
  for (let at = error.cause; at instanceof Error; at = at.cause) found = systemMessage(at) ?? found
  return found
}

const detailsOf = (error: CniError): string => {
  const errno = rootErrno(error)
  // The message names file and errno already.
  if (errno && error.message.endsWith(errno)) return errnoText(errno)
  return causeOf(error) ?? error.details
}

const describe = (error: unknown): Pick<Failure, 'message' | 'details' | 'code'> => {
  const plain = { details: '', code: undefined }
  if (error instanceof AggregateError) return describe(CniError.from(error))
  if (error instanceof CniError)
    return { message: error.message, details: detailsOf(error), code: error.code }
  if (!(error instanceof Error)) return { ...plain, message: String(error) }
  const message = systemMessage(error)
  if (message) return { ...plain, message }
  const details = causeOf(error) ?? CniError.from(error).details
  return { ...plain, message: error.message, details }
}

/** Any thrown value as a failure to tell the user of. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof CliError) {
    const { exitCode, message, remedy } = error
    return { exitCode, message, remedy, details: '', code: undefined }
  }
  const denied = denials.includes(rootErrno(error) ?? '')
  const exitCode = denied ? ExitCode.notPermitted : ExitCode.failed
  return { exitCode, ...describe(error), remedy: denied ? asRoot : '' }
}

/** A failure as one line, without the line's end. */
export const formatFailure = ({ message, details, remedy }: Failure): string => {
  const text = [message, details].filter(Boolean).join(': ')
  return [text, remedy]
    .filter(Boolean)
    .join('; ')
    .replace(/\s*\n\s*/g, '; ')
}
