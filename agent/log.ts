/** The agent's log: one JSON object a line on standard output, where a container's log is collected. */

export const logLevels = ['error', 'warn', 'info', 'debug'] as const

export type LogLevel = (typeof logLevels)[number]

/** The fields of a line beside its message. Undefined values are left out. */
type LogFields = Readonly<Record<string, unknown>>

type Write = (message: string, fields?: LogFields) => void

export type Log = Readonly<Record<LogLevel, Write>>

/** A log that prints lines of `level` and above: `{"time":…,"level":"info","msg":…,…}`. */
export const createLog = (print: (text: string) => void, level: LogLevel): Log => {
  const least = logLevels.indexOf(level)
  const writer =
    (own: LogLevel): Write =>
    (msg, fields = {}) => {
      if (logLevels.indexOf(own) > least) return
      print(`${JSON.stringify({ time: new Date().toISOString(), level: own, msg, ...fields })}\n`)
    }
  return { error: writer('error'), warn: writer('warn'), info: writer('info'), debug: writer('debug') }
}

/** A failure in one line: its message and those of its causes. */
export const messageOf = (error: unknown): string => {
  const messages: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) messages.push(detailed(at))
  return messages.length > 0 ? messages.join(': ') : String(error)
}

/** Failures of this project have the system's own words in `details`; connections that failed, only a code. */
const detailed = (error: Error): string => {
  const details = 'details' in error && typeof error.details === 'string' ? error.details : ''
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return [error.message || code, details].filter(Boolean).join(': ')
}
