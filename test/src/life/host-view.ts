import { readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import t from 'tap'
import { once, thisHost } from '../../../src/life/host-view'

t.test('thisHost() tells the host, its boot and the network namespaces that live on it', async t => {
  const here = thisHost()
  t.equal(here.bootID, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
  t.equal(here.host(), hostname())
  t.ok(Math.abs(here.now() - Date.now()) < 10_000)
  const { dev, ino } = statSync('/proc/self/ns/net')
  t.same(here.netnsAt('/proc/self/ns/net'), { dev, ino })
  t.equal(here.netnsAt('/proc/0/ns/net'), 'nothing')
  t.equal(here.netnsAt('/proc/version/x'), 'nothing')
  t.equal(here.netnsAt('a'.repeat(300)), 'hidden')
  t.ok(here.holders(undefined).byInode.has(ino))
  t.notOk(here.holders(undefined).byInode.has(1))
  t.equal(here.isKernelsBootID(), true)
  t.ok(here.bootTime() <= Date.now() - process.uptime() * 1000)
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
