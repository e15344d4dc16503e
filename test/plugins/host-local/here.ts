import { readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import t from 'tap'
import { once, thisHost } from '../../../plugins/host-local/here'

t.test('thisHost() tells the host, its boot and the network namespaces that live on it', async t => {
  const here = thisHost()
  t.equal(here.bootID, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
  t.equal(here.host(), hostname())
  t.ok(Math.abs(here.now() - Date.now()) < 10_000)
  const { dev, ino } = statSync('/proc/self/ns/net')
  t.same(here.netnsAt('/proc/self/ns/net'), { dev, ino })
  t.equal(here.netnsAt('/proc/0/ns/net'), undefined)
  t.ok(here.livingNetns().has(ino))
  t.notOk(here.livingNetns().has(1))
})

t.test('once() asks once, also when the answer is undefined', async t => {
  let asked = 0
  const ask = once(() => {
    asked++
    return undefined
  })
  ask()
  ask()
  t.equal(asked, 1)
})
