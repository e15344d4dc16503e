/** Connects and disconnects pods as a runtime does: a chain of calls, each with the result of the one before. */
import { total } from '../report/stats.mjs'
import { callsOf } from './setups.mjs'
import { run, start, waitForAny } from './spawn.mjs'

/** The last result of every network of every pod, which DEL is given: a runtime's cache. */
const results = new Map()

const keyOf = (pod, call) => `${pod} ${call.list}`

/** What a pod's ADD on a network answered; undefined if there was none, or DEL since. */
export const resultOf = (pod, list) => results.get(keyOf(pod, { list }))

const programOf = (call, { pod, bins, prefix = [], trace = false }) => {
  const { args = [] } = call
  // What takes arguments is no CNI plugin, and is given no result.
  const prevResult = call.args ? undefined : results.get(keyOf(pod, call))
  return {
    argv: [...prefix, `${bins}/${call.program}`, ...args],
    env: { ...call.env, ...(trace && { CNI_TRACE: '1' }) },
    stdin: JSON.stringify({ ...call.conf, ...(prevResult && { prevResult }) }),
  }
}

const explain = (call, { code, stdout, stderr }) =>
  `${call.env.CNI_COMMAND} of ${call.program} in ${call.env.CNI_PATH}: exit code ${code}\n${stdout}${stderr}`

/** Notes what a call answered; any failure ends the whole run. */
const note = (call, pod, outcome) => {
  if (outcome.code !== 0) throw new Error(explain(call, outcome))
  if (call.env.CNI_COMMAND === 'ADD') results.set(keyOf(pod, call), JSON.parse(outcome.stdout))
}

const forget = (pod, calls) => {
  if (calls[0].env.CNI_COMMAND !== 'DEL') return
  for (const call of calls) results.delete(keyOf(pod, call))
}

/** Runs all calls of one pod: their times, and what they wrote on stderr. */
export const attach = request => {
  const { pod } = request
  const calls = callsOf(request)
  const done = calls.map(call => {
    const outcome = run(programOf(call, request))
    note(call, pod, outcome)
    return { program: call.program, ms: outcome.ms, cpuMs: outcome.cpuMs, stderr: outcome.stderr }
  })
  forget(pod, calls)
  return { ...total(done), calls: done }
}

const millisecondsSince = begun => Number(process.hrtime.bigint() - begun) / 1e6

/** The next call of a pod is started; undefined when it has had all. */
const advance = (job, request) => {
  const call = job.calls[job.next]
  if (!call) {
    forget(job.pod, job.calls)
    return undefined
  }
  job.next++
  job.begun ??= process.hrtime.bigint()
  return { ...start(programOf(call, { ...request, pod: job.pod })), job, call }
}

/**
 * Runs the calls of many pods, `width` pods at a time: the wall time of all, their processor time, and the wall time of
 * each pod. `watch` is called while they run, for memory.
 */
export const attachMany = (request, watch) => {
  const jobs = request.pods.map(pod => ({ pod, next: 0, calls: callsOf({ ...request, pod }) }))
  const running = []
  const pods = []
  let cpuMs = 0
  const begun = process.hrtime.bigint()
  while (jobs.length > 0 || running.length > 0) {
    while (running.length < request.width && jobs.length > 0) running.push(advance(jobs.shift(), request))
    watch?.(running.map(({ pid }) => pid))
    const ended = waitForAny(running, { poll: watch !== undefined })
    if (!ended) continue
    const [child, outcome] = ended
    running.splice(running.indexOf(child), 1)
    note(child.call, child.job.pod, outcome)
    cpuMs += outcome.cpuMs
    const next = advance(child.job, request)
    if (next) running.push(next)
    else pods.push(millisecondsSince(child.job.begun))
  }
  return { ms: millisecondsSince(begun), cpuMs, pods }
}
