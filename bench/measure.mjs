/** Measures sides in turns, so that whatever happens on the machine happens to all of them. */
import { isPeer } from './peers.mjs'
import { parseTrace } from './report/phases.mjs'
import { overlap, summarise, total } from './report/stats.mjs'
import { verify } from './verify.mjs'

/** Pods of these numbers are measured; those below are there for company. */
export const firstMeasured = 5_000

/** How many network namespaces the measured pods take turns in. */
const poolSize = 4

/** Makes the namespaces that `alternate` uses on a host. */
export const addMeasuredPods = host => host.addPods(firstMeasured, firstMeasured + poolSize)

const rotated = (list, by) => list.map((_, i) => list[(i + by) % list.length])

const podOf = round => firstMeasured + (round % poolSize)

/** A side may bring its own way to connect and disconnect a pod, as the floor does. */
const pair = async (side, pod) => {
  if (side.pair) return side.pair(pod)
  const { host, setup, bins, prefix, trace = false } = side
  const request = { setup, bins, prefix, pod, trace }
  const add = await host.request('attach', { ...request, command: 'ADD' })
  const del = await host.request('attach', { ...request, command: 'DEL' })
  return { add, del }
}

/** Throws away a side that says it does not support what it is asked, and says so; any other failure is the end. */
export const supported = async (bench, sides) => {
  const able = []
  for (const side of sides) {
    try {
      await pair(side, podOf(0))
      if (!side.pair) await verify(side, podOf(1))
      able.push(side)
    } catch (error) {
      const refusal = /"code":2,"msg":"((?:[^"\\]|\\.)*)"/.exec(String(error))
      if (!refusal) throw error
      bench.skip(`${side.name}, ${side.setup}`, refusal[1].replaceAll('\\"', '"'))
    }
  }
  return able
}

/** No comparison is worth less than this many rounds. */
const fewestRounds = 3

/** How much longer a comparison may take that has not settled. */
const patience = 3

/**
 * Runs `round` for the numbers from -warmUp to runs - 1, fewer if they take longer than a comparison may: on a busy
 * machine the rest would tell less than the time it costs. More are run until `settled`, up to three times as many in
 * three times as long. The reports say how many there were.
 */
const rounds = async (bench, { runs, warmUp, settled = () => true }, round) => {
  const begun = performance.now()
  const timeIsUp = times => performance.now() - begun > times * bench.options.seconds * 1000
  let ticked = 0
  const tick = to => {
    bench.progress.tick(Math.max(0, to - ticked))
    ticked = Math.max(to, ticked)
  }
  for (let number = -warmUp; ; number++) {
    if (number >= runs || (number >= fewestRounds && timeIsUp(1))) {
      tick(runs + warmUp)
      if (number >= patience * runs || timeIsUp(patience) || settled()) return
    }
    await round(number)
    tick(Math.min(runs, number + 1) + warmUp)
  }
}

/** Ours, as far as they are meant to be faster than the Go plugins. */
const isJudged = name => name.startsWith('standalone') || name === 'kubenet'

/** Is it clear of each that is judged whether it or the fastest peer is faster, for each kind of call? */
const isSettled = samples => {
  const peers = [...samples.keys()].filter(isPeer)
  const judged = [...samples.keys()].filter(isJudged)
  if (peers.length === 0 || judged.length === 0) return true
  return ['add', 'del', 'both'].every(kind => {
    const summaryOf = name => summarise(samples.get(name)[kind].map(({ ms }) => ms))
    const [fastest] = peers.map(summaryOf).sort((a, b) => a.median - b.median)
    return judged.every(name => !overlap(summaryOf(name), fastest))
  })
}

const emptySamples = () => ({ add: [], del: [], both: [], phases: { ADD: [], DEL: [] } })

const note = (samples, { add, del }) => {
  samples.add.push(total([add]))
  samples.del.push(total([del]))
  samples.both.push(total([add, del]))
}

/** The steps that the calls of one pod traced, each under its program's name. */
const phasesOf = ({ calls }) =>
  calls.map(({ program, ms, stderr }) => ({ program, ms, steps: parseTrace(stderr) }))

const measured = async (side, pod, samples, bench) => {
  note(samples, await pair(side, pod))
  if (!bench.options.phases || side.pair || isPeer(side.name)) return
  // In a call of its own: tracing must not slow down what is timed.
  const traced = await pair({ ...side, trace: true }, pod)
  samples.phases.ADD.push(phasesOf(traced.add))
  samples.phases.DEL.push(phasesOf(traced.del))
}

/**
 * ADD and DEL of one pod on every side, `runs` times in turns, each round beginning with another side. Answers the
 * times by side: Map of name → { add, del, both, phases }, the first three lists of { ms, cpuMs }.
 */
export const alternate = async (
  bench,
  sides,
  { runs = bench.options.runs, warmUp = bench.options.warmUp } = {},
) => {
  const samples = new Map(sides.map(({ name }) => [name, emptySamples()]))
  await rounds(bench, { runs, warmUp, settled: () => isSettled(samples) }, async round => {
    for (const side of rotated(sides, Math.max(0, round))) {
      if (round < 0) await pair(side, podOf(round + warmUp))
      else await measured(side, podOf(round), samples.get(side.name), bench)
    }
  })
  return samples
}

/** Runs programs in turns: Map of name → times. A program is a function that answers { ms, cpuMs }. */
export const alternatePrograms = async (
  bench,
  programs,
  { runs = bench.options.runs, warmUp = bench.options.warmUp } = {},
) => {
  const samples = new Map(programs.map(([name]) => [name, []]))
  await rounds(bench, { runs, warmUp }, async round => {
    for (const [name, program] of rotated(programs, Math.max(0, round))) {
      const outcome = await program()
      if (round >= 0) samples.get(name).push(total([outcome]))
    }
  })
  return samples
}
