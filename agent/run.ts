/** The agent as this process: what the subcommand `agent` imports when it is called. */
import { readSysctl } from '../src/host/sysctl'
import { type AgentOptions, runUntil } from './agent'
import { createLog, type LogLevel } from './log'

type RunOptions = Omit<AgentOptions, 'log' | 'nodeName'> & {
  /** Undefined: NODE_NAME of the environment, else the host's name, as kubelet has it. */
  readonly nodeName: string | undefined
  readonly logLevel: LogLevel
  readonly print: (text: string) => void
}

/** A DNS subdomain (RFC 1123), as the name of every Node is. */
const validNodeName = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

const nodeNameOf = ({ nodeName, credentials: { env } }: RunOptions): string => {
  const name = nodeName ?? (env.NODE_NAME || readSysctl('kernel/hostname')?.toLowerCase() || '')
  if (validNodeName.test(name)) return name
  throw new Error(`${JSON.stringify(name)} is no name of a node; give it with --node-name or NODE_NAME`)
}

/** Runs the agent until SIGTERM or SIGINT; answers 0. Rejects if it can't start. */
export const runAgent = async (options: RunOptions): Promise<0> => {
  const nodeName = nodeNameOf(options)
  const log = createLog(options.print, options.logLevel)
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info('stopping', { signal })
      stop.abort()
    })
  }
  await runUntil(stop.signal, { ...options, nodeName, log })
  return 0
}
