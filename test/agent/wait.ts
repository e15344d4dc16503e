import t from 'tap'
import { Backoff, wait, within } from '../../agent/wait'

const never = new Promise<string>(() => {})

t.test('wait() ends when its signal is aborted, also when that was before', async t => {
  const stop = new AbortController()
  const waiting = wait(3_600_000, stop.signal)
  stop.abort()
  await waiting
  t.equal(await wait(3_600_000, stop.signal), undefined)
})

t.test('within() answers what the work does, and fails as it does', async t => {
  const limits = { ms: 3_600_000, signal: new AbortController().signal, what: 'answer' }
  t.equal(await within(limits, Promise.resolve('it')), 'it')
  await t.rejects(within(limits, Promise.reject(new Error('of its own'))), { message: 'of its own' })
})

t.test('within() fails when the time is over, or at a stop', async t => {
  const stop = new AbortController()
  await t.rejects(within({ ms: 1, signal: stop.signal, what: 'answer' }, never), {
    message: 'no answer for 0.001 s',
  })
  const working = within({ ms: 3_600_000, signal: stop.signal, what: 'answer' }, never)
  stop.abort()
  await t.rejects(working, { message: 'stopped' })
})

t.test('Backoff doubles up to its longest, and begins again after a success', async t => {
  const backoff = new Backoff({ firstMs: 500, longestMs: 4000 }, () => 1)
  const waits = Array.from({ length: 5 }, () => backoff.next())
  t.same(waits, [500, 1000, 2000, 4000, 4000])
  backoff.reset()
  t.equal(backoff.next(), 500)
})

t.test('Backoff spreads over the upper half, so that nodes are not in step', async t => {
  t.equal(new Backoff({ firstMs: 500, longestMs: 4000 }, () => 0).next(), 250)
  const waits = new Set(
    Array.from({ length: 50 }, () => new Backoff({ firstMs: 500, longestMs: 4000 }).next()),
  )
  t.ok(waits.size > 40)
  t.ok([...waits].every(ms => ms >= 250 && ms < 500))
})
