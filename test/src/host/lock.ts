import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, symlinkSync } from 'node:fs'
import t from 'tap'
import { withLock } from '../../../src/host/lock'
import { isFrom } from '../../../src/host/system-error'

t.test('withLock() runs one at a time and lets the next one in', async t => {
  const path = `${t.testdir()}/lock`
  const order: string[] = []
  const work = (name: string) => async () => {
    order.push(`${name} in`)
    await new Promise(resolve => setTimeout(resolve, 5))
    order.push(`${name} out`)
  }
  await Promise.all([withLock(path, work('a')), withLock(path, work('b'))])
  t.same(
    order.map(entry => entry.split(' ')[1]),
    ['in', 'out', 'in', 'out'],
  )
})

t.test('withLock() gives up at its deadline and names the process that holds the lock', async t => {
  const path = `${t.testdir()}/lock`
  const holder = spawn('flock', [path, 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => holder.stdin.end())
  await once(holder.stdout, 'data')
  const error = await withLock(path, () => t.fail('the lock was had'), 30).catch(failure => failure)
  t.ok(isFrom(error, 'lock'))
  t.match(error, { code: 'EAGAIN', message: `timed out waiting for the lock "${path}"` })
  t.match(
    error.details,
    new RegExp(`^held by pid ${holder.pid} \\(flock .*; [A-Z] \\(.*\\); for \\d+ s at most\\); if it hangs`),
  )
})

t.test(
  'withLock() waits longer where the lock changes hands: the node is busy, no process hangs',
  async t => {
    const path = `${t.testdir()}/lock`
    const inTurn = Array.from({ length: 4 }, () =>
      spawn('flock', [path, 'sleep', '1.2'], { stdio: 'ignore' }),
    )
    t.teardown(() => {
      for (const holder of inTurn) holder.kill()
    })
    const waiting = () =>
      readFileSync('/proc/locks', 'utf8')
        .split('\n')
        .filter(line => inTurn.some(({ pid }) => line.includes('-> FLOCK') && line.includes(` ${pid} `)))
    while (waiting().length < 3) await new Promise(resolve => setTimeout(resolve, 20))
    t.equal(await withLock(path, () => 'had', 3000), 'had')
  },
)

t.test('withLock() does not follow a symbolic link', async t => {
  const folder = t.testdir()
  symlinkSync('/dev/null', `${folder}/lock`)
  await t.rejects(
    withLock(`${folder}/lock`, () => {}),
    { code: 'ELOOP' },
  )
})
