/**
 * Requests whose answers are read as they come. @kubernetes/client-node brings the credentials, but neither list nor
 * watch (1.4.0): its Watch cannot be ended before the server has answered, has no limit on silence, drops lines that it
 * cannot parse as if nothing had been said, and hides why a request was refused; its lists are whole objects in memory.
 */
import { request as requestHttp } from 'node:http'
import { type RequestOptions, request as requestHttps } from 'node:https'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { version } from '../../src/build-info'
import { isJsonObject } from '../../src/cni/schema'
import { isFrom, SystemError } from '../../src/host/system-error'
import type { Access } from './credentials'

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
const apiError = (code: Outcome, message: string, cause?: unknown): SystemError =>
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

/** How long each part of a request may take, in milliseconds. */
export type Patience = {
  /** Until the server has accepted a connection. */
  readonly connectMs: number
  /** Until the answer's headers are there. */
  readonly answerMs: number
  /** Between any two parts of the answer's body. */
  readonly idleMs: number
  /** For all of it; undefined for a watch, which has no end. */
  readonly totalMs: number | undefined
}

type ApiRequest = {
  readonly access: Access
  /** Path and query. */
  readonly path: string
  readonly patience: Patience
  readonly signal: AbortSignal
  /** What is sent; undefined for GET. */
  readonly send?: { readonly method: string; readonly contentType: string; readonly text: string }
  /** Gets every part of the body of an answer with status 200; may throw, which ends the request. */
  onData(chunk: Buffer): void
  /** Is called when the server has answered with status 200. */
  onAnswer?(): void
}

const maxFailureBytes = 64 * 1024
/** A connection that is silent for so long is asked whether it is still there; without an answer for ten seconds it ends. */
const keepAliveMs = 5_000

/** A body in the form it had before it was compressed. */
const plain = (answer: Readable, encoding: string | undefined): Readable =>
  // A failure of either stream ends the other; the reader of the last one gets it.
  encoding === 'gzip' ? pipeline(answer, createGunzip(), () => {}) : answer

const parseFailure = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text.trim()
  }
}

/** A timer that can be started again and again, and calls `onEnd` unless it is. */
const countdown = (onEnd: (error: Error) => void) => {
  let timer: NodeJS.Timeout | undefined
  return {
    start: (ms: number, what: string) => {
      clearTimeout(timer)
      // The caller's patience: a server that is silent for so long counts as gone.
      timer = setTimeout(() => onEnd(apiError('idle', `${what} for ${ms / 1000} s`)), ms)
    },
    stop: () => clearTimeout(timer),
  }
}

const optionsOf = ({ access: { server, options }, path, send }: ApiRequest): RequestOptions => ({
  ...options,
  protocol: server.protocol,
  host: server.hostname.replace(/^\[(.*)\]$/, '$1'),
  port: server.port || (server.protocol === 'http:' ? 80 : 443),
  path: `${server.pathname.replace(/\/$/, '')}${path}`,
  method: send?.method ?? 'GET',
  headers: {
    ...options.headers,
    accept: 'application/json',
    ...(send && { 'content-type': send.contentType, 'content-length': Buffer.byteLength(send.text) }),
    'accept-encoding': 'gzip',
    'user-agent': `kubenet-agent/${version}`,
  },
})

/**
 * Makes one request, GET unless something is sent, and hands over the body as it comes. Resolves when the server has ended it in order. Rejects
 * with `refusalOf` when it answers anything but 200 or 201, with `apiError` "idle" when it is too slow, and with what the
 * connection failed of. Aborting `signal` ends it at once, in order.
 */
export const ask = (call: ApiRequest): Promise<void> =>
  new Promise((resolve, reject) => {
    const { patience, signal } = call
    const options = optionsOf(call)
    const request = (options.protocol === 'http:' ? requestHttp : requestHttps)(options)
    const idle = countdown(end)
    const total = countdown(end)
    const aborted = () => end()
    let isOver = false

    function end(error?: unknown): void {
      if (isOver) return
      isOver = true
      idle.stop()
      total.stop()
      signal.removeEventListener('abort', aborted)
      request.destroy()
      if (error === undefined) resolve()
      else reject(error)
    }

    if (signal.aborted) return end()
    signal.addEventListener('abort', aborted)
    idle.start(patience.connectMs, 'no connection')
    const connected = () => idle.start(patience.answerMs, 'no answer')
    request.setSocketKeepAlive(true, keepAliveMs)
    request.on('socket', socket => (socket.connecting ? socket.once('connect', connected) : connected()))
    if (patience.totalMs !== undefined) total.start(patience.totalMs, 'not done')
    request.on('error', end)
    request.on('response', answer => {
      const body = plain(answer, answer.headers['content-encoding'])
      const isOk = answer.statusCode === HttpStatus.ok || answer.statusCode === HttpStatus.created
      let failure = ''
      const restart = () => idle.start(patience.idleMs, 'no data')
      restart()
      if (isOk) call.onAnswer?.()
      body.on('error', end)
      // A connection that breaks closes the body without its end. Of a compressed one, the answer closes long before that.
      body.on('close', () => setImmediate(() => end(new Error('the connection was closed early'))))
      body.on('data', (chunk: Buffer) => {
        if (isOver) return
        restart()
        try {
          if (isOk) call.onData(chunk)
          else if (failure.length < maxFailureBytes) failure += chunk.toString('utf8')
        } catch (error) {
          end(error)
        }
      })
      body.on('end', () => {
        if (isOk) end()
        else end(refusalOf(`${options.method} ${call.path}`, answer.statusCode ?? 0, parseFailure(failure)))
      })
    })
    request.end(call.send?.text)
  })
