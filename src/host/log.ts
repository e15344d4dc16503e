import { appendFileSync, writeSync } from 'node:fs'

/** Prints a warning on stderr: stdout is for the result alone. */
export const warn = (text: string): void => {
  try {
    writeSync(2, `${text}\n`)
  } catch {
    // A runtime that closed stderr does not want to hear it.
  }
}

/** One step of a call and the milliseconds it took. */
export type Step = { readonly name: string; readonly ms: number }

let steps: Step[] = []
// performance.now() counts from the start of the process.
let last = 0

/** Notes that a step has ended: its time is what passed since the step before. */
export const endStep = (name: string): void => {
  const now = performance.now()
  steps.push({ name, ms: Math.round((now - last) * 1000) / 1000 })
  last = now
}

/** Prints the steps on stderr, one a line: what CNI_TRACE=1 asks for. */
export const printSteps = (noted: readonly Step[]): void => {
  const lines = noted.map(({ name, ms }) => `${ms.toFixed(3).padStart(9)} ms  ${name}`)
  warn(lines.join('\n'))
}

/** The steps noted so far, which are then forgotten. */
export const takeSteps = (): Step[] => {
  const taken = steps
  steps = []
  return taken
}

/** Where calls are logged, and whether those that succeed are: "error" writes only the failed ones. */
export type LogTarget = { readonly file: string; readonly level: 'error' | 'info' | 'debug' }

/** Appends one JSON line to the log. What can't be written is said on stderr and changes nothing else. */
export const appendLog = (target: LogTarget, entry: Record<string, unknown>): void => {
  try {
    appendFileSync(target.file, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`, {
      mode: 0o600,
    })
  } catch (error) {
    warn(`log file "${target.file}": ${error instanceof Error ? error.message : error}`)
  }
}
