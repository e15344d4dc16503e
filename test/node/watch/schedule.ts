/** When the pods are looked at: soon after a loss, whatever else is due. */
import t from 'tap'
import { Schedule } from '../../../node/watch/schedule'

/** Resolves with true if the promise is kept within the time, in milliseconds. */
const isKept = (promise: Promise<unknown>, ms: number): Promise<boolean> =>
  Promise.race([
    promise.then(() => true),
    new Promise<boolean>(resolve => setTimeout(() => resolve(false), ms)),
  ])

/** One whose first look, which is due at once, is under way. */
const looking = async (): Promise<Schedule> => {
  const schedule = new Schedule()
  await schedule.wait()
  return schedule
}

const never = Number.POSITIVE_INFINITY

t.test('a loss hurries though a look is due before', async t => {
  const schedule = await looking()
  schedule.request('touched', 'elements')
  t.notOk(await isKept(schedule.hurried(), 1600), 'what a DEL touches does not hurry')
  const hurried = schedule.hurried()
  schedule.request('lost', 'the table')
  t.ok(await isKept(hurried, 1000))
  t.same(await schedule.wait(), { kind: 'lost', why: 'the table' })
})

t.test('a loss does not wait because looks at what was touched were in vain', async t => {
  const schedule = await looking()
  schedule.next(never, { touched: performance.now() + 60_000, lost: 0 })
  schedule.request('touched', 'elements')
  const due = schedule.wait()
  t.notOk(await isKept(due, 100))
  schedule.request('lost', 'the table')
  t.same(await due, { kind: 'lost', why: 'the table' })
})

t.test('where one takes it again and again, a loss waits too', async t => {
  const schedule = await looking()
  const until = performance.now() + 500
  schedule.next(never, { touched: until, lost: until })
  schedule.request('lost', 'the table')
  t.same(await schedule.wait(), { kind: 'lost', why: 'the table' })
  t.ok(performance.now() >= until)
})

t.test('a loss during a look at what was touched does not wait after it', async t => {
  const schedule = await looking()
  schedule.request('lost', 'the table')
  schedule.next(never, { touched: performance.now() + 60_000, lost: 0 })
  t.same(await schedule.wait(), { kind: 'lost', why: 'the table' })
})
