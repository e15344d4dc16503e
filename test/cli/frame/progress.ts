import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { type Tell, withProgress } from '../../../cli/frame/progress'
import { fakeIo } from '../fixtures/cli'

const second = (): void => {
  const end = performance.now() + 1050
  while (performance.now() < end);
}

/** Work that never waits, and so leaves no timer a turn. */
const busy = async (tell: Tell): Promise<string> => {
  tell('first')
  second()
  tell('then')
  tell('and then')
  return 'done'
}

t.test('work of over a second reports its step, once', async t => {
  const { io, printed } = fakeIo({ isErrorTerminal: true })
  t.equal(await withProgress(io, 'working', busy), 'done')
  t.match(printed, { stdout: '', stderr: /^then \(\d+ s\)\n$/ })
})

t.test('waiting work reports nothing', async t => {
  const { io, printed } = fakeIo({ isErrorTerminal: true })
  await withProgress(io, 'waiting', () => setTimeout(1800))
  t.match(printed.stderr, /^waiting \(\d+ s\)\n/)
})

t.test('quick work, and output that is no terminal, get no report', async t => {
  const quick = fakeIo({ isErrorTerminal: true })
  await withProgress(quick.io, 'quick', async tell => tell('over'))
  const piped = fakeIo({ isTerminal: true })
  await withProgress(piped.io, 'working', busy)
  t.same([quick.printed.stderr, piped.printed.stderr], ['', ''])
})
