import t from 'tap'
import { Backoff } from '../../agent/wait'

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
