import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { add, check, del, gc, status } from '../../../plugins/host-local/main'
import { resultToJson } from '../../../src/cni/result'
import { Undo } from '../../../src/host/undo'
import { type CallOptions, callOf } from './fixtures/call'

const sets = [[{ subnet: '10.1.2.0/29' }], [{ subnet: 'fd00::/64' }]]

const network = (dataDir: string, ipam: Record<string, unknown> = { ranges: sets }) => {
  const call = (options: CallOptions = {}, rest: Record<string, unknown> = {}) =>
    callOf({ cniVersion: '1.1.0', type: 'bridge', ipam: { dataDir, ...ipam }, ...rest }, options)
  const leased = () =>
    readdirSync(`${dataDir}/net`)
      .filter(name => /^[0-9a-f.:]+$/.test(name))
      .sort()
  const left = () => (existsSync(`${dataDir}/.kubenet`) ? readdirSync(`${dataDir}/.kubenet/net`) : [])
  return { call, leased, left, folder: `${dataDir}/net` }
}

const gcOf = (...attachments: [containerID: string, ifname: string][]) => ({
  'cni.dev/valid-attachments': attachments.map(([containerID, ifname]) => ({ containerID, ifname })),
})

t.test('ADD answers the addresses with the subnets’ lengths, gateways, routes and dns', async t => {
  const dataDir = t.testdir({ 'resolv.conf': 'nameserver 192.0.2.1\n' })
  const { call, leased } = network(dataDir, {
    ranges: sets,
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00::9', mtu: 1400 }],
    resolvConf: `${dataDir}/resolv.conf`,
  })
  const result = await add(call(), new Undo())
  t.same(JSON.parse(JSON.stringify(resultToJson(result, '1.1.0'))), {
    cniVersion: '1.1.0',
    ips: [
      { address: '10.1.2.2/29', gateway: '10.1.2.1' },
      { address: 'fd00::2/64', gateway: 'fd00::1' },
    ],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00::9', mtu: 1400 }],
    dns: { nameservers: ['192.0.2.1'] },
  })
  t.same(leased(), ['10.1.2.2', 'fd00::2'])
})

t.test('ADD leases nothing if it cannot read resolvConf', async t => {
  const dataDir = t.testdir()
  const { call } = network(dataDir, { ranges: sets, resolvConf: `${dataDir}/none` })
  await t.rejects(add(call(), new Undo()), { code: 5 })
  t.same(readdirSync(dataDir), [])
})

t.test('an ADD that is undone gives back what it leased, and nothing else', async t => {
  const dataDir = t.testdir()
  await add(network(dataDir, { subnet: '10.9.0.0/24' }).call(), new Undo())
  const { call, leased, left } = network(dataDir)
  const undo = new Undo()
  await add(call(), undo)
  t.same(leased(), ['10.1.2.2', '10.9.0.2', 'fd00::2'])
  await undo.rollBack()
  t.same(leased(), ['10.9.0.2'])
  await del(call())
  t.same([leased(), left()], [[], []])
})

t.test('an ADD that is refused takes nothing back', async t => {
  const { call, leased } = network(t.testdir())
  await add(call(), new Undo())
  const undo = new Undo()
  await t.rejects(add(call(), undo), { code: 7, message: /duplicate allocation is not allowed$/ })
  await undo.rollBack()
  t.same(leased(), ['10.1.2.2', 'fd00::2'])
})

t.test('DEL frees the interface’s addresses, is no failure twice, and makes no folder', async t => {
  const dataDir = t.testdir()
  const { call, leased, left } = network(dataDir)
  await del(call())
  t.same(readdirSync(dataDir), [])
  await add(call(), new Undo())
  await add(call({ ifName: 'eth1' }), new Undo())
  for (const _ of ['once', 'twice']) {
    await del(call())
    t.same(leased(), ['10.1.2.3', 'fd00::3'])
  }
  await del(call({ ifName: 'eth1' }))
  t.same([leased(), left()], [[], []])
})

t.test('where there can be no folder ADD fails, and the DEL that follows does not', async t => {
  const { call } = network(`${t.testdir({ file: '' })}/file/below`)
  await t.rejects(add(call(), new Undo()), { code: 'ENOTDIR' })
  await del(call())
  await gc(call({}, gcOf()))
})

t.test('DEL frees leases of the container alone only if the interface has none', async t => {
  const { call, leased, folder } = network(t.testdir())
  await add(call(), new Undo())
  writeFileSync(`${folder}/10.1.2.6`, 'c1')
  await del(call())
  t.same(leased(), ['10.1.2.6'])
  await del(call())
  t.same(leased(), [])
})

t.test('CHECK finds the lease and compares it with prevResult', async t => {
  const dataDir = t.testdir()
  const { call, folder } = network(dataDir)
  const missing = { code: 999, message: 'host-local: Failed to find address added by container c1' }
  await t.rejects(check(call()), missing)
  t.same(readdirSync(dataDir), [], 'it makes no folder')
  const prevResult = resultToJson(await add(call(), new Undo()), '1.1.0')
  await check(call())
  await check(call({}, { prevResult }))
  await t.rejects(check(call({ ifName: 'eth1' })), missing)

  const ips = [{ address: '192.0.2.7/24' }, { address: '10.1.2.2/29' }, { address: '10.1.2.5/29' }]
  await t.rejects(check(call({}, { prevResult: { cniVersion: '1.1.0', ips } })), {
    code: 999,
    message: 'host-local: 10.1.2.5 of prevResult is not leased to container c1, eth0',
    details: 'leased to it: 10.1.2.2, fd00::2',
  })
  await t.rejects(check(call({}, { prevResult: 'none' })), { code: 6 })

  writeFileSync(`${folder}/10.1.2.6`, 'old')
  await check(call({ containerID: 'old' }))
})

t.test('GC frees what is not valid, and leaves the rest as it was', async t => {
  const { call, leased, folder, left } = network(t.testdir())
  for (const [containerID, ifName] of [
    ['a', 'eth0'],
    ['a', 'eth1'],
    ['b', 'eth0'],
  ] as const) {
    await add(call({ containerID, ifName }), new Undo())
  }
  writeFileSync(`${folder}/10.1.2.5`, 'a') // of an old version
  writeFileSync(`${folder}/10.1.2.6`, '') // torn
  writeFileSync(`${folder}/fd00::99`, 'b') // of an old version
  writeFileSync(`${folder}/.new`, 'x')
  writeFileSync(`${folder}/note`, 'mine')
  await gc(call({}, gcOf(['a', 'eth1'], ['c', 'eth0'])))
  t.same(leased(), ['10.1.2.3', '10.1.2.5', 'fd00::3'])
  t.same(
    readdirSync(folder)
      .filter(name => !leased().includes(name))
      .sort(),
    ['last_reserved_ip.0', 'last_reserved_ip.1', 'lock', 'note'],
  )
  await gc(call({}, gcOf()))
  t.same(leased(), [])
  t.same(left(), [])
  t.equal(readFileSync(`${folder}/last_reserved_ip.0`, 'utf8'), '10.1.2.4')
})

t.test('GC takes the older key, refuses a missing one with code 7, and makes no folder', async t => {
  const dataDir = t.testdir()
  const { call, leased } = network(dataDir)
  await gc(call({}, gcOf()))
  t.same(readdirSync(dataDir), [])
  await add(call(), new Undo())
  await t.rejects(gc(call()), { code: 7, message: /"cni.dev\/valid-attachments"/ })
  await gc(call({}, { 'cni.dev/attachments': [{ containerID: 'c1', ifname: 'eth0' }] }))
  t.same(leased(), ['10.1.2.2', 'fd00::2'])
})

t.test('STATUS is 50 with used and total when a set is full', async t => {
  const { call } = network(t.testdir(), { ranges: sets, exclude: ['10.1.2.6'] })
  await status(call())
  for (const containerID of ['a', 'b', 'c']) await add(call({ containerID }), new Undo())
  await status(call())
  await add(call({ containerID: 'd' }), new Undo())
  await t.rejects(status(call()), {
    code: 50,
    message: 'host-local: no IP addresses available in range set: 10.1.2.1-10.1.2.6',
    details: '4 of 4 in use',
  })
  await del(call({ containerID: 'd' }))
  await status(call())
})

t.test('STATUS counts a torn lease as free, since the next ADD gets it', async t => {
  const { call, folder } = network(t.testdir(), { subnet: '10.1.2.0/30' })
  await status(call())
  writeFileSync(`${folder}/10.1.2.2`, '')
  await status(call())
})

t.test('STATUS is 50 when the folder cannot be used', async t => {
  const dataDir = t.testdir({ net: 'a file' })
  await t.rejects(status(network(dataDir).call()), {
    code: 50,
    message: `host-local: ${dataDir} cannot be used`,
    details: /^EEXIST|^ENOTDIR/,
  })
})
