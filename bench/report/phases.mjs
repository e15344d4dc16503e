import { median } from './stats.mjs'

/** The steps in what CNI_TRACE=1 printed: "    1.234 ms  veth", one a line. */
export const parseTrace = text =>
  text.split('\n').flatMap(line => {
    const step = /^ *(\d+\.\d+) ms {2}(\S.*)$/.exec(line)
    return step ? [{ name: step[2], ms: Number(step[1]) }] : []
  })

/** The time before the program's first step and after its last one, which no trace of its own can show. */
const withRest = ({ ms, steps }) => [
  ...steps,
  { name: '(exec and exit)', ms: ms - steps.reduce((sum, step) => sum + step.ms, 0) },
]

/**
 * The median and the smallest of every step over many calls of the same kind, in the order of the first call:
 * [{ program, name, median, min }].
 */
export const summarisePhases = runs => {
  const steps = new Map()
  for (const calls of runs) {
    for (const call of calls) {
      const seen = new Map()
      for (const { name, ms } of withRest(call)) {
        // A step may end twice in a call, as those of two families do: a number distinguishes them.
        const nth = (seen.get(name) ?? 0) + 1
        seen.set(name, nth)
        const label = nth > 1 ? `${name} (${nth})` : name
        const key = `${call.program}\n${label}`
        if (!steps.has(key)) steps.set(key, { program: call.program, name: label, samples: [] })
        steps.get(key).samples.push(ms)
      }
    }
  }
  return [...steps.values()].map(({ program, name, samples }) => ({
    program,
    name,
    median: median(samples),
    min: Math.min(...samples),
  }))
}
