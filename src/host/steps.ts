/** Where the time of a call goes: its steps, and, where a trace is asked for, what took how long in each of them. */
import { warn } from './log'

/** One step of a call and the milliseconds it took. */
type Step = { readonly name: string; readonly ms: number }

/** The object that a step waits for: an answer of the kernel, a lock, a lease that is written, the disk, a program. */
type PartKind = 'netlink' | 'lock' | 'lease' | 'disk' | 'program'

let steps: Step[] = []
// performance.now() counts from the start of the process.
let last = 0

/** The trace so far, and the parts of the step that goes on; undefined if they are not requested. */
let trace: { readonly lines: string[]; parts: string[] } | undefined

const milliseconds = (from: number, to: number): number => Math.round((to - from) * 1000) / 1000

const lineOf = (ms: number, indent: string, name: string): string =>
  `${ms.toFixed(3).padStart(9)} ms${indent}${name}`

/** From now on the parts of steps are noted too. */
export const startTrace = (): void => {
  trace = { lines: steps.map(({ name, ms }) => lineOf(ms, '  ', name)), parts: [] }
}

/** Notes that a step has ended: its time is what passed since the step before. */
export const endStep = (name: string): void => {
  const now = performance.now()
  const ms = milliseconds(last, now)
  last = now
  steps.push({ name, ms })
  if (!trace) return
  trace.lines.push(lineOf(ms, '  ', name), ...trace.parts)
  trace.parts = []
}

const beginPart = (): number => (trace ? performance.now() : 0)

const endPart = (kind: PartKind, what: string, began: number): void => {
  trace?.parts.push(lineOf(milliseconds(began, performance.now()), '      ', `${kind}  ${what}`))
}

/** Runs a part, which may fail; `what` is the kernel's task, or the lock, program or file. */
export const timed = <T>(kind: PartKind, what: string, work: () => T): T => {
  const began = beginPart()
  try {
    return work()
  } finally {
    endPart(kind, what, began)
  }
}

/** Runs a part that others may go on beside: it stands in the trace where it ends. */
export const timedAsync = async <T>(kind: PartKind, what: string, work: () => Promise<T>): Promise<T> => {
  const began = beginPart()
  try {
    return await work()
  } finally {
    endPart(kind, what, began)
  }
}

/**
 * Prints the trace on stderr, if there is one: every step, and below it its parts. Those at the end are of a step that
 * failed, and of what was undone then.
 */
export const printTrace = (): void => {
  if (trace) warn([...trace.lines, ...trace.parts].join('\n'))
}

/** The steps noted so far, which are then forgotten. */
export const takeSteps = (): Step[] => {
  const taken = steps
  steps = []
  return taken
}
