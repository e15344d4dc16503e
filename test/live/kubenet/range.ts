/** A node that gets another pod range while pods of the old one live: nothing of theirs ends before they do. */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'
import { ask, serve } from '../../fixtures/traffic'

const before = (more: Json = {}): Json => kubenetConf(more)
const after = (more: Json = {}): Json =>
  kubenetConf({ podCIDRs: ['10.244.9.0/24', 'fd00:244:9::/64'], ...more })

const port = (hostPort: number): Json => ({
  runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
})

for (const flavour of flavours) {
  for (const backend of flavour === 'node' ? ['auto'] : ['auto', 'iptables']) {
    t.test(`[${flavour}] another pod range, backend ${backend}`, async t => {
      const node = await Node.create(t, flavour)
      const { host } = node
      const results = new Map<string, Json>()
      results.set('web', await node.add('web', before({ backend, ...port(8080) })))
      results.set('old', await node.add('old', before({ backend })))
      await serve(t, host, 'web', [{ protocol: 'tcp', host: '10.244.1.2', port: 80 }])

      await t.test('a new pod gets its addresses and its gateway', async t => {
        results.set('new', await node.add('new', after({ backend, ...port(8081) })))
        t.match(results.get('new').ips, [
          { address: '10.244.9.2/24', gateway: '10.244.9.1' },
          { address: 'fd00:244:9::2/64', gateway: 'fd00:244:9::1' },
        ])
        t.same(await node.gateways(), ['10.244.1.1', '10.244.9.1', 'fd00:244:9::1', 'fd00:244:1::1'])
      })

      await t.test('an old pod keeps its gateway, reaches new ones, and they reach it', async t => {
        await node.inPod('old', 'for a in 10.244.1.1 fd00:244:1::1; do ping -nq -c1 -W5 $a; done')
        await node.inPod('old', 'for a in 10.244.9.2 fd00:244:9::2; do ping -nq -c1 -W5 $a; done')
        await node.inPod('new', 'for a in 10.244.1.3 fd00:244:1::3; do ping -nq -c1 -W5 $a; done')
        await node.inPod('old', 'ping -nq -c1 -W5 192.0.2.9')
        await serve(t, host, 'new', [{ protocol: 'tcp', host: '10.244.9.2', port: 80 }])
        const targets = {
          old: { protocol: 'tcp', host: '192.0.2.1', port: 8080 },
          new: { protocol: 'tcp', host: '192.0.2.1', port: 8081 },
        } as const
        t.same(await ask(host, 'outside', targets), {
          old: { from: '192.0.2.9', on: '10.244.1.2:80' },
          new: { from: '192.0.2.9', on: '10.244.9.2:80' },
        })
      })

      await t.test('CHECK of an old pod is content, with the new range', async t => {
        const conf = after({ backend, ...port(8080), prevResult: results.get('web') })
        t.same((await node.call('CHECK', 'web', conf)).stdout, '')
      })

      await t.test('DEL of one, without prevResult, leaves the other its gateway', async t => {
        await node.del('web', after({ backend }), { netns: '' })
        t.same(await node.leases(), ['10.244.1.3', '10.244.9.2', 'fd00:244:1::3', 'fd00:244:9::2'])
        t.notMatch(await host.sh('nft -s list ruleset'), /10\.244\.1\.2[^0-9]|dport 8080|tcp \. 8080/)
        await node.inPod('old', 'ping -nq -c1 -W5 10.244.1.1')
      })

      await t.test('the gateway goes with the last pod of the old range', async t => {
        await node.del('old', after({ backend, prevResult: results.get('old') }))
        t.same(await node.gateways(), ['10.244.9.1', 'fd00:244:9::1'])
        t.same(await node.leases(), ['10.244.9.2', 'fd00:244:9::2'])
        t.notMatch(await host.sh('nft -s list ruleset; ip route; ip -6 route'), /10\.244\.1\.|fd00:244:1:/)
        await node.inPod('new', 'ping -nq -c1 -W5 10.244.9.1; ping -nq -c1 -W5 192.0.2.9')
      })
    })
  }

  t.test(`[${flavour}] new pods are refused while those that run go on`, async t => {
    const node = await Node.create(t, flavour)
    const noNewPods = 'the ranges change'
    const result = await node.add('runs', before(port(8080)))
    const state = await node.host.snapshot()
    await node.host.netns('comes')
    const refused = await node.call('ADD', 'comes', before({ noNewPods, ...port(8081) }))
    t.same(JSON.parse(refused.stdout), {
      cniVersion: '1.1.0',
      code: 11,
      msg: 'kubenet: this node takes no new pods',
      details: noNewPods,
    })
    t.equal(await node.host.snapshot(), state)
    const check = before({ noNewPods, ...port(8080), prevResult: result })
    t.same((await node.call('CHECK', 'runs', check)).stdout, '')
    const gc = before({ noNewPods, 'cni.dev/valid-attachments': [{ containerID: 'runs', ifname: 'eth0' }] })
    t.same((await node.call('GC', '', gc)).stdout, '')
    t.equal(await node.host.snapshot(), state)
    // The node stays ready: Kubernetes would evict its pods.
    t.match(await node.call('STATUS', '', before({ noNewPods })), {
      code: 0,
      stdout: '',
      stderr: /this node takes no new pods: the ranges change/,
    })
    const own = await node.add(
      'own',
      before({ noNewPods, runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/24' }]] } }),
    )
    t.match(own.ips, [{ address: '10.9.0.2/24' }], 'a range of its own is no concern of the node’s')
    await node.del('own', before({ noNewPods }))
    await node.del('runs', before({ noNewPods, prevResult: result }))
    t.equal(await node.host.sh('find /var/lib/cni/networks -name "10.*"'), '')
    await node.add('again', before())
    await node.del('again', before())
  })

  t.test(`[${flavour}] GC removes pods of the old range without a DEL, and their gateway`, async t => {
    const node = await Node.create(t, flavour)
    await node.add('lost', before(port(8080)))
    await node.host.run('ip', 'netns', 'del', 'lost')
    const result = await node.add('new', after())
    const gc = after({ 'cni.dev/valid-attachments': [{ containerID: 'new', ifname: 'eth0' }] })
    t.same(
      [(await node.call('GC', '', gc)).stdout, await node.gateways()],
      ['', ['10.244.9.1', 'fd00:244:9::1']],
    )
    t.same(await node.leases(), ['10.244.9.2', 'fd00:244:9::2'])
    t.notMatch(await node.table(), /lost|8080/)
    t.equal((await node.call('CHECK', 'new', after({ prevResult: result }))).stdout, '')
  })
}
