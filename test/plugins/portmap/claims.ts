import { readdirSync, statSync } from 'node:fs'
import t from 'tap'
import { noteRules, ownerOf, takeDownClaims, udpPortsOf } from '../../../plugins/portmap/claims'
import { listOwners } from '../../../plugins/portmap/records'
import { keyOf } from '../../../src/attachment/attachment'

import { claim, filesIn, id, namespace, port } from './fixtures/claims'

t.test('a record and a file per port and family are kept, and given back without a trace', async t => {
  const folder = t.testdir()
  const { dead, earlier, recorded } = await claim(folder, {
    containerID: 'c1',
    ports: [port(8080), port(53, 'udp', '192.0.2.1')],
  })
  t.same([dead, earlier, recorded], [[], undefined, true])
  const key = keyOf(id('c1'))
  t.same(filesIn(folder), [
    `claims/tcp-8080/any4@${key}`,
    `claims/tcp-8080/any6@${key}`,
    `claims/udp-53/192.0.2.1@${key}`,
    'lock',
    `owners/${key}`,
  ])
  t.match(ownerOf(id('c1'), folder), { claims: ['tcp-8080/any4', 'udp-53/192.0.2.1', 'tcp-8080/any6'] })
  t.same(listOwners(folder).map(udpPortsOf), [[53]])
  t.equal(statSync(`${folder}/owners/${key}`).mode & 0o777, 0o600)
  await takeDownClaims(id('c1'), { folder })
  t.same(filesIn(folder), ['lock'])
  t.same(readdirSync(`${folder}/claims`), [], 'no empty folders')
  await takeDownClaims(id('c1'), { folder })
})

t.test('which ports overlap', async t => {
  // What the first container has, what the second wants, whether that is refused, why.
  const rows: [object, object, boolean, string][] = [
    [port(80), port(80), true, 'the same'],
    [port(80), port(81), false, 'another port'],
    [port(80), port(80, 'udp'), false, 'another protocol'],
    [port(80, 'sctp'), port(80, 'SCTP'), true, 'in upper case'],
    [port(80), port(80, 'tcp', '192.0.2.1'), true, 'one address of all'],
    [port(80, 'tcp', '192.0.2.1'), port(80), true, 'all addresses over one'],
    [port(80, 'tcp', '192.0.2.1'), port(80, 'tcp', '192.0.2.1'), true, 'the same address'],
    [port(80, 'tcp', '192.0.2.1'), port(80, 'tcp', '192.0.2.2'), false, 'another address'],
    [port(80, 'tcp', '127.0.0.1'), port(80), true, 'localhost is an address too'],
    [port(80, 'tcp', '0.0.0.0'), port(80, 'tcp', '::'), false, 'another family'],
    [port(80, 'tcp', '0.0.0.0'), port(80), true, 'all of one family and all'],
    [port(80, 'tcp', '::'), port(80, 'tcp', '2001:db8::1'), true, 'IPv6, one address of all'],
    [port(80, 'tcp', '2001:db8::1'), port(80, 'tcp', '2001:db8:0::0:1'), true, 'IPv6, written otherwise'],
    [port(80, 'tcp', '2001:db8::1'), port(80, 'tcp', '192.0.2.1'), false, 'an address of each family'],
    [port(80, 'tcp', '::ffff:192.0.2.1'), port(80, 'tcp', '192.0.2.1'), true, 'a mapped address'],
  ]
  for (const [had, wanted, refused, why] of rows) {
    const folder = t.testdir()
    await claim(folder, { containerID: 'c1', ports: [had] })
    const second = claim(folder, { containerID: 'c2', ports: [wanted] })
    if (refused)
      await t.rejects(second, { code: 7, message: /^host port 80.* is taken by container c1$/ }, why)
    else await t.resolves(second, why)
  }
})

t.test('a family the container has no address of is not claimed', async t => {
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80)], addresses: ['10.1.2.3/24'] })
  await t.resolves(claim(folder, { containerID: 'c2', ports: [port(80)], addresses: ['fd00:2::3/64'] }))
  await t.rejects(claim(folder, { containerID: 'c3', ports: [port(80)], addresses: ['fd00:2::4/64'] }), {
    message: 'host port 80/tcp is taken by container c2',
  })
})

t.test('the refusal names the holder, its pod, its network and where it has the port', async t => {
  const folder = t.testdir()
  const netns = namespace(folder, 'ns1')
  const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=1'
  await claim(folder, { containerID: 'c1', ports: [port(80)], netns, args })
  await t.rejects(
    claim(folder, { containerID: 'c2', network: 'other', ports: [port(80, 'tcp', '192.0.2.1')] }),
    {
      code: 7,
      message: 'host port 80/tcp of 192.0.2.1 is taken by container c1 (pod shop/web-0)',
      details:
        `network net, interface eth0, netns ${netns.path}, which has it on all IPv4 addresses; ` +
        'delete that container or choose another host port',
    },
  )
  t.equal(ownerOf(id('c2', 'other'), folder), undefined, 'nothing was claimed')
})

t.test('the container’s own claims are not in its way', async t => {
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80), port(81)] })
  const { earlier } = await claim(folder, { containerID: 'c1', ports: [port(81), port(82)] })
  t.match(earlier, { claims: ['tcp-80/any4', 'tcp-81/any4', 'tcp-80/any6', 'tcp-81/any6'] })
  const key = keyOf(id('c1'))
  t.same(filesIn(`${folder}/claims`), [
    `tcp-81/any4@${key}`,
    `tcp-81/any6@${key}`,
    `tcp-82/any4@${key}`,
    `tcp-82/any6@${key}`,
  ])
  t.same(readdirSync(`${folder}/claims`), ['tcp-81', 'tcp-82'])
})

t.test('another network of the same container may have the same port, and keeps it', async t => {
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80)] })
  await claim(folder, { containerID: 'c1', network: 'second', ports: [port(80)] })
  await takeDownClaims(id('c1'), { folder })
  await t.rejects(claim(folder, { containerID: 'c2', ports: [port(80)] }), {
    message: 'host port 80/tcp is taken by container c1',
  })
  await takeDownClaims(id('c1', 'second'), { folder })
  await t.resolves(claim(folder, { containerID: 'c2', ports: [port(80)] }))
})

t.test(
  'networks whose conditions differ share a port, those with the same or none before them do not',
  async t => {
    const inner = { conditionsV4: ['-d', '192.0.2.1'], conditionsV6: ['-d', '2001:db8::1'] }
    const outer = { conditionsV4: ['-d', '192.0.2.2'], conditionsV6: ['-d', '2001:db8::2'] }
    const rows: [object, object, boolean][] = [
      [inner, outer, false],
      [inner, inner, true],
      [inner, {}, false],
      [{}, inner, true],
      [inner, { conditionsV4: inner.conditionsV4 }, true],
    ]
    for (const [first, second, refused] of rows) {
      const folder = t.testdir()
      await claim(folder, { containerID: 'c1', ports: [port(80)], keys: first })
      const later = claim(folder, { containerID: 'c2', network: 'other', ports: [port(80)], keys: second })
      const title = JSON.stringify([first, second])
      if (refused) await t.rejects(later, { code: 7 }, title)
      else await t.resolves(later, title)
    }
  },
)

t.test('where nothing can be written the ports are opened all the same', async t => {
  const folder = t.testdir({ file: '' })
  const { recorded, dead, earlier } = await claim(`${folder}/file/x`, {
    containerID: 'c1',
    ports: [port(80)],
  })
  t.same([recorded, dead, earlier], [false, [], undefined])
  t.equal(ownerOf(id('c1'), `${folder}/file/x`), undefined)
  await t.resolves(takeDownClaims(id('c1'), { folder: `${folder}/file/x` }))
})

t.test('the rules are added to the record, if there is one', async t => {
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80)] }, { rules: { backend: 'nftables' } })
  t.same(ownerOf(id('c1'), folder)?.rules, { backend: 'nftables' })
  const rules = { backend: 'nftables', handles: [{ family: 4, chain: 'hostports', handle: '7' }] } as const
  noteRules(id('c1'), { ...rules, handles: [...rules.handles] }, folder)
  t.same(ownerOf(id('c1'), folder)?.rules, rules)
  noteRules(id('c2'), { backend: 'nftables' }, folder)
  t.equal(ownerOf(id('c2'), folder), undefined)
})
