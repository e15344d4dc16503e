/** The agent's endpoint: is it alive, is it ready, how is it doing. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Where to listen; the host is "" for all addresses. */
export type ListenAddress = { readonly host: string; readonly port: number }

/** Reads "127.0.0.1:10107", "[::1]:10107" or ":10107"; undefined for anything else. */
export const parseListenAddress = (text: string): ListenAddress | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535) return undefined
  return { host: match[1] ?? match[2] ?? '', port }
}

/** A verdict and why. */
export type Verdict = { readonly ok: boolean; readonly reason: string }

export type Questions = {
  /** Is the agent at work? If not, it should be started again. */
  readonly health: () => Verdict
  /** Is this node's network as the cluster wants it? */
  readonly readiness: () => Verdict
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
}

const plainText = 'text/plain; charset=utf-8'

/** A client that says nothing must not hold a connection. */
const limits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
}
/** How many connections may wait for their clients to ask something. */
const mostWaiting = 64

type Reply = { readonly status: number; readonly text: string; readonly contentType: string }

const verdict = ({ ok, reason }: Verdict): Reply => ({
  status: ok ? 200 : 503,
  text: `${reason}\n`,
  contentType: plainText,
})

const refusal = (status: number, text: string): Reply => ({
  status,
  text: `${text}\n`,
  contentType: plainText,
})

const answer = async ({ method, url = '' }: IncomingMessage, questions: Questions): Promise<Reply> => {
  if (method !== 'GET' && method !== 'HEAD') return refusal(405, 'only GET and HEAD')
  const [path] = url.split('?')
  if (path === '/healthz') return verdict(questions.health())
  if (path === '/readyz') return verdict(questions.readiness())
  if (path === '/metrics') return { status: 200, ...(await questions.metrics()) }
  return refusal(404, 'there are /healthz, /readyz and /metrics')
}

const send = (response: ServerResponse, { status, text, contentType }: Reply, isHead: boolean): void => {
  const headers = { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }
  response.writeHead(status, headers).end(isHead ? undefined : text)
}

/**
 * Closes the connection that has been silent for longest where too many are. To refuse new ones instead would
 * let a client that opens that many, and asks nothing, keep kubelet from an answer.
 */
const limitWaiting = (server: Server): void => {
  const waiting = new Set<Socket>()
  server.on('connection', socket => {
    waiting.add(socket)
    socket.once('close', () => waiting.delete(socket))
    const [oldest] = waiting
    if (waiting.size > mostWaiting) oldest?.destroy()
  })
  server.on('request', ({ socket }, response) => {
    waiting.delete(socket)
    response.once('finish', () => {
      if (!socket.destroyed) waiting.add(socket)
    })
  })
}

/** Starts to listen; rejects if the address cannot be had. */
export const listen = async ({ host, port }: ListenAddress, questions: Questions): Promise<Server> => {
  const server = createServer(limits, (request, response) => {
    const isHead = request.method === 'HEAD'
    answer(request, questions).then(
      reply => send(response, reply, isHead),
      error => send(response, refusal(500, String(error)), isHead),
    )
  })
  limitWaiting(server)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, ...(host && { host }) }, resolve)
  })
  return server
}

/** Where it listens, as "127.0.0.1:10107"; the port is a real one also if 0 was asked for. */
export const addressOf = (server: Server): string => {
  const address = server.address()
  if (address === null || typeof address === 'string') return String(address)
  return address.family === 'IPv6'
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`
}
