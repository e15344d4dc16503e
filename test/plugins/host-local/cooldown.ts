import { readdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Cooldown } from '../../../plugins/host-local/cooldown'

const now = Date.now()

t.test('an address rests for the time set, and no longer', async t => {
  const cooldown = new Cooldown(t.testdir(), 'net', 30)
  t.notOk(cooldown.isCooling('10.1.2.3', now))
  cooldown.start(['10.1.2.3', 'fd00::3'])
  const soon = Date.now() + 1
  t.ok(cooldown.isCooling('10.1.2.3', soon))
  t.ok(cooldown.isCooling('fd00::3', soon + 29_000))
  t.notOk(cooldown.isCooling('fd00::3', soon + 31_000))
  t.notOk(cooldown.isCooling('10.1.2.4', soon))
  t.notOk(cooldown.isCooling('10.1.2.3', soon - 60_000), 'a clock that was set back')
})

t.test('forgetEnded() keeps the notes that still count', async t => {
  const dataDir = t.testdir()
  const cooldown = new Cooldown(dataDir, 'net', 30)
  cooldown.forgetEnded(now)
  cooldown.start(['10.1.2.3'])
  cooldown.forgetEnded(Date.now() + 1000)
  t.same(readdirSync(`${dataDir}/.kubenet/net/released`), ['10.1.2.3'])
  new Cooldown(dataDir, 'net', 0).forgetEnded(Date.now() + 1000)
  t.same(readdirSync(`${dataDir}/.kubenet/net/released`), [], 'without the option none counts')
})

t.test('without the option nothing is written and nothing rests', async t => {
  const dataDir = t.testdir()
  const cooldown = new Cooldown(dataDir, 'net', 0)
  cooldown.start(['10.1.2.3'])
  t.notOk(cooldown.isCooling('10.1.2.3', Date.now() + 1))
  t.same(readdirSync(dataDir), [])
})

t.test('a folder that cannot be had costs the rest of an address and nothing else', async t => {
  const dataDir = t.testdir()
  writeFileSync(`${dataDir}/.kubenet`, 'a file')
  const cooldown = new Cooldown(dataDir, 'net', 30)
  cooldown.start(['10.1.2.3'])
  t.notOk(cooldown.isCooling('10.1.2.3', Date.now() + 1))
})
