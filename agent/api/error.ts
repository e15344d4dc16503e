import { isJsonObject } from '../../src/cni/schema'

/** HTTP, and the codes of a Status object. */
export const HttpStatus = { ok: 200, badRequest: 400, gone: 410, gatewayTimeout: 504 } as const

/** The API server's refusal: a Status object, or an answer that is none. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  /** One word for programs: "Expired", "Forbidden". */
  readonly reason: string

  constructor(what: string, status: number, reason: string, message: string) {
    super(`${what}: ${[status, reason, message].filter(Boolean).join(' ')}`)
    this.status = status
    this.reason = reason
  }
}

const maxMessage = 300

/** Reads what came with a failure, a Status object most of the time. */
export const apiErrorOf = (what: string, status: number, body: unknown): ApiError => {
  if (!isJsonObject(body)) {
    return new ApiError(what, status, '', typeof body === 'string' ? body.slice(0, maxMessage) : '')
  }
  const code = typeof body.code === 'number' ? body.code : status
  const reason = typeof body.reason === 'string' ? body.reason : ''
  const message = typeof body.message === 'string' ? body.message.slice(0, maxMessage) : ''
  return new ApiError(what, code, reason, message)
}

/** What came on a connection can't be understood, or was an ERROR event: what the client knows may have a gap. */
export class StreamError extends Error {
  override readonly name = 'StreamError'

  constructor(cause: unknown) {
    super('the stream of events', { cause })
  }
}

const causeOf = (error: unknown): unknown => (error instanceof StreamError ? error.cause : error)

/** Is the history that a version belongs to forgotten? */
export const isGone = (error: unknown): boolean => {
  const cause = causeOf(error)
  return cause instanceof ApiError && (cause.status === HttpStatus.gone || cause.reason === 'Expired')
}

/** Does the server say that there is no such version, or not yet? So it is after its store was put back in time. */
export const isUnknownVersion = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.status === HttpStatus.badRequest || error.status === HttpStatus.gatewayTimeout)

/** Is a new list needed to go on? A connection that broke needs none. */
export const needsList = (error: unknown): boolean =>
  error instanceof StreamError || isGone(error) || isUnknownVersion(error)
