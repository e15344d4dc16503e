/** A node whose new pod range lies around its old one, or inside of it, while pods of the old one live. */
import t from 'tap'
import { anyFlavour } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] a range that grows around the old one`, async t => {
    const node = await Node.create(t, flavour)
    const wide = kubenetConf({ podCIDRs: ['10.244.0.0/16'] })
    const old = await node.add('old', kubenetConf({ podCIDRs: ['10.244.1.0/24'] }))
    const last = '/var/lib/cni/networks/pods/last_reserved_ip.0'

    await t.test('the old gateway, which the bridge still has, is not given out', async t => {
      await node.host.sh(`echo -n 10.244.1.0 > ${last}`)
      t.match((await node.add('new', wide)).ips, [{ address: '10.244.1.3/16', gateway: '10.244.0.1' }])
      t.same(await node.gateways(), ['10.244.1.1', '10.244.0.1'])
    })

    await t.test('nor is it given out on request', async t => {
      const { json } = await node.call('ADD', 'new', wide, {
        ...{ ifName: 'eth1', args: 'IgnoreUnknown=1;IP=10.244.1.1' },
      })
      t.match(json, {
        code: 7,
        msg: 'failed to allocate for range 0: requested ip 10.244.1.1 is excluded',
        details: /^it is in "exclude", or the bridge itself has it/,
      })
    })

    await t.test(
      'pods of both reach each other and their gateways, within the old range and beyond',
      async t => {
        await node.host.sh(`echo -n 10.244.7.1 > ${last}`)
        t.match((await node.add('far', wide)).ips, [{ address: '10.244.7.2/16' }])
        const reach = (...addresses: string[]) =>
          `for a in ${addresses.join(' ')}; do ping -nq -c1 -W5 $a; done`
        await node.inPod('old', reach('10.244.1.1', '10.244.1.3', '10.244.7.2', '192.0.2.1'))
        await node.inPod('new', reach('10.244.0.1', '10.244.1.2', '10.244.7.2', '192.0.2.1'))
        await node.inPod('far', reach('10.244.0.1', '10.244.1.2', '10.244.1.3'))
      },
    )

    await t.test('the old gateway goes with the last pod of the old range', async t => {
      await node.del('old', { ...wide, prevResult: old })
      t.same(await node.gateways(), ['10.244.0.1'])
      t.same(await node.leases(), ['10.244.1.3', '10.244.7.2'])
      await node.inPod('new', 'ping -nq -c1 -W5 10.244.0.1; ping -nq -c1 -W5 10.244.7.2')
    })
  })

  t.test(`[${flavour}] a range that shrinks`, async t => {
    const node = await Node.create(t, flavour)
    const wide = kubenetConf({ podCIDRs: ['10.244.0.0/16'] })
    const narrow = kubenetConf({ podCIDRs: ['10.244.1.0/24'] })
    const requested = (address: string) => ({ args: `IgnoreUnknown=1;IP=${address}` })
    const first = await node.add('first', wide, requested('10.244.1.1'))
    const old = await node.add('old', wide, requested('10.244.1.7'))

    await t.test('is refused as long as a pod has what would be its gateway', async t => {
      await node.host.netns('new')
      const { json } = await node.call('ADD', 'new', narrow)
      t.match(json, {
        code: 11,
        msg: 'the gateway 10.244.1.1/24 is an address of container first',
        details: /^it got the address from another subnet; delete that container/,
      })
      t.same(await node.gateways(), ['10.244.0.1'])
      t.same(await node.leases(), ['10.244.1.1', '10.244.1.7'])
    })

    await t.test('then the old pods keep their gateway, and it goes with the last of them', async t => {
      await node.del('first', { ...narrow, prevResult: first })
      const { code, stdout, json } = await node.call('ADD', 'new', narrow)
      t.equal(code, 0, stdout)
      t.match(json.ips, [{ address: /^10\.244\.1\.\d+\/24$/, gateway: '10.244.1.1' }])
      t.same(await node.gateways(), ['10.244.0.1', '10.244.1.1'])
      await node.inPod('old', 'ping -nq -c1 -W5 10.244.0.1; ping -nq -c1 -W5 10.244.1.1')
      await node.del('old', { ...narrow, prevResult: old })
      // Elsewhere in the wide range are other nodes now.
      t.same(await node.gateways(), ['10.244.1.1'])
      await node.inPod('new', 'ping -nq -c1 -W5 10.244.1.1; ping -nq -c1 -W5 192.0.2.1')
    })
  })
}
