import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods, layer2Conf, linksOf } from '../../fixtures/bridge'
import { flavours } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

const conf = bridgeConf('dual', { isGateway: true })

const namesOf = async (host: PrivateHost) => [...(await linksOf(host)).keys()].sort()
const leasesOf = (host: PrivateHost) => host.sh('find /var/lib/cni -name "10.*" -o -name "fd*"')

for (const flavour of flavours) {
  t.test(
    `[${flavour}] DEL of a container that never was succeeds, with whatever stands for its namespace`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const a = await pod('c1')
      await host.sh('touch /run/file; ln -s /run/gone /run/dangling')
      for (const netns of [
        a.netns,
        '',
        '/run/netns/gone',
        '/run/file',
        '/run/file/x',
        '/run/dangling',
        '/run',
      ]) {
        for (const one of [
          conf,
          layer2Conf(),
          { ...conf, ipMasq: true, prevResult: { cniVersion: '1.0.0' } },
        ]) {
          const { code, stdout } = await a.call('DEL', one, { netns })
          t.same([code, stdout], [0, ''], JSON.stringify(netns))
        }
      }
      t.same(await namesOf(host), ['lo'], 'and makes no bridge')
    },
  )

  t.test(`[${flavour}] DEL without a namespace deletes the interface by its host end`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, b] = [await pod('c1'), await pod('c2')]
    await a.add(conf)
    const other = await b.add(conf)
    t.equal((await a.call('DEL', conf, { netns: '' })).code, 0)
    t.equal(await a.link(), undefined)
    t.same(await namesOf(host), ['br0', 'lo', hostVethOf(other)].sort())
    t.equal((await leasesOf(host)).trim().split('\n').length, 2, 'those of the other container')
    t.ok(await b.pings('10.1.2.1'))
  })

  t.test(`[${flavour}] DEL finds an interface that was renamed or moved away`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const harms = [
      'ip -n c1 link set eth0 name lan0',
      'ip netns add other; ip -n c1 link set eth0 netns other',
    ]
    for (const harm of harms) {
      const a = await pod('c1')
      await a.add(conf)
      await host.sh(harm)
      t.equal((await a.call('DEL', conf)).code, 0)
      t.same(await namesOf(host), ['br0', 'lo'], harm)
      t.equal(await leasesOf(host), '')
      await host.run('ip', 'netns', 'del', 'c1')
    }
  })

  t.test(`[${flavour}] DEL leaves an interface alone that is no veth: it cannot be its own`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.run('ip', 'link', 'add', 'eth0', 'type', 'bridge')
    t.match((await a.call('ADD', conf)).json.msg, /already exists$/)
    t.equal((await a.call('DEL', conf)).code, 0)
    t.equal((await a.link()).linkinfo.info_kind, 'bridge')
    t.equal(await leasesOf(host), '')
  })

  t.test(
    `[${flavour}] the IPAM plugin's failure is DEL's, and the interface is gone all the same`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const a = await pod('c1')
      const masqueraded = { ...conf, ipMasq: true }
      await a.add(masqueraded)
      await host.sh(
        'mkdir /run/bin; printf \'#!/bin/sh\\necho "{\\"code\\": 42, \\"msg\\": \\"no way\\", \\"details\\": \\"d\\"}"; exit 1\' ' +
          '> /run/bin/host-local; chmod +x /run/bin/host-local',
      )
      const { code, json } = await a.call('DEL', masqueraded, { path: '/run/bin' })
      t.equal(code, 1)
      t.same(json, { cniVersion: '1.0.0', code: 42, msg: 'no way', details: 'd' })
      t.same(await namesOf(host), ['br0', 'lo'])
      t.notMatch(await host.sh('iptables-save; ip6tables-save'), /c1/, 'and so are the rules')
      const missing = await a.call('DEL', conf, { path: '/run/none' })
      t.match(missing.json.msg, /^failed to find plugin "host-local" in path \[\/run\/none\]$/)
    },
  )

  t.test(`[${flavour}] DEL validates what the reference validates, and no more`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.add(conf)
    const refused: [object, string][] = [
      [{ vlan: 4095 }, 'invalid VLAN ID 4095 (must be between 0 and 4094)'],
      [{ vlan: -1 }, 'invalid VLAN ID -1 (must be between 0 and 4094)'],
      [
        { vlanTrunk: [{ minID: 5 }] },
        'minID and maxID should be configured simultaneously, maxID is missing',
      ],
    ]
    for (const [more, msg] of refused) {
      for (const command of ['ADD', 'CHECK', 'DEL']) {
        const { code, json } = await a.call(command, { ...conf, ...more })
        t.same([code, json], [1, { cniVersion: '1.0.0', code: 7, msg }], command)
      }
    }
    const spoilt = {
      mtu: 3,
      hairpinMode: true,
      promiscMode: true,
      macspoofchk: true,
      bridge: 'a-name-that-is-too-long',
      runtimeConfig: { mac: 'x' },
      ipMasqBackend: 'none',
      ipMasq: true,
    }
    t.equal((await a.call('DEL', { ...conf, ...spoilt })).stdout, '')
    t.equal(await a.link(), undefined)
  })
}
