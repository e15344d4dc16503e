import { isJsonObject } from '../../src/cni/schema'
import { isFrom, SystemError } from '../../src/host/system-error'

/** HTTP, and the codes of a Status object. */
export const HttpStatus = { ok: 200, created: 201, badRequest: 400, gone: 410, gatewayTimeout: 504 } as const

/**
 * The outcome of a request to the API server:
 * - gone: the history that a version belongs to is forgotten
 * - unknown version: there is none, or not yet; so it is after the cluster's store was put back in time
 * - refused: it answered with anything else but 200
 * - idle: it took longer than it may
 * - unreadable: what came cannot be understood, or was an ERROR event; the client may have missed events
 */
type Outcome = 'gone' | 'unknown version' | 'refused' | 'idle' | 'unreadable'

/** The failure of a question to the API server; `message` says of which. */
export const apiError = (code: Outcome, message: string, cause?: unknown): SystemError =>
  new SystemError('API server', { message, code, cause })

/** The data of a connection cannot be understood. */
export const streamError = (cause: unknown): SystemError =>
  apiError('unreadable', 'the stream of events', cause)

const maxMessage = 300

/** The refusal in a Status object; its reason is one word for programs: "Expired", "Forbidden". */
const statusOf = (status: number, body: unknown): { status: number; reason: string; message: string } => {
  if (!isJsonObject(body)) return { status, reason: '', message: typeof body === 'string' ? body : '' }
  return {
    status: typeof body.code === 'number' ? body.code : status,
    reason: typeof body.reason === 'string' ? body.reason : '',
    message: typeof body.message === 'string' ? body.message : '',
  }
}

/** The API server's refusal of `what`: a Status object most of the time, or an answer that is none. */
export const refusalOf = (what: string, httpStatus: number, body: unknown): SystemError => {
  const { status, reason, message } = statusOf(httpStatus, body)
  const words = [status, reason, message.slice(0, maxMessage)].filter(Boolean).join(' ')
  const isPast = status === HttpStatus.gone || reason === 'Expired'
  const isUnknown = status === HttpStatus.badRequest || status === HttpStatus.gatewayTimeout
  return apiError(isPast ? 'gone' : isUnknown ? 'unknown version' : 'refused', `${what}: ${words}`)
}

/** How a question ended, in a word; undefined where the connection broke. An ERROR event tells of what is behind it. */
export const outcomeOf = (error: unknown): string | undefined => {
  if (!isFrom(error, 'API server')) return undefined
  return isFrom(error.cause, 'API server', 'gone') ? 'gone' : error.code
}

/** Has the server forgotten the version that was asked for, or never known it? */
export const isOfNoVersion = (error: unknown): boolean =>
  ['gone', 'unknown version'].includes(outcomeOf(error) ?? '')

/** Is a new list needed to go on? A connection that broke needs none. */
export const needsList = (error: unknown): boolean =>
  isOfNoVersion(error) || outcomeOf(error) === 'unreadable'
