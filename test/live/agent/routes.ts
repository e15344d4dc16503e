/** `kubenet-agent --node-routes`: the routes to other nodes' pods, in the kernel of a private host. */
import t from 'tap'
import { eventually } from '../../fixtures/cluster/eventually'
import { RoutingNode } from '../../fixtures/cluster/routing-node'
import { flavours } from '../../fixtures/cni'

const n1 = {
  name: 'n1',
  podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
  addresses: ['192.0.2.1', '2001:db8::1'],
}
const n2 = {
  name: 'n2',
  podCIDRs: ['10.244.2.0/24', 'fd00:244:2::/64'],
  addresses: ['192.0.2.2', '2001:db8::2'],
}
const n3 = { name: 'n3', podCIDRs: ['10.244.3.0/24'], addresses: ['192.0.2.3'] }
/** Its addresses are on no link of n1: only the default routes lead there. */
const far = {
  name: 'far',
  podCIDRs: ['10.244.9.0/24', 'fd00:244:9::/64'],
  addresses: ['198.51.100.9', '2001:db8:9::9'],
}

const toN2 = ['10.244.2.0/24 via 192.0.2.2', 'fd00:244:2::/64 via 2001:db8::2']
const toN3 = ['10.244.3.0/24 via 192.0.2.3']

/** Routes to ranges that no node has. */
const strays = `
  ip route add 10.244.77.0/24 via 192.0.2.77 proto 107
  ip -6 route add fd00:244:77::/64 via 2001:db8::77 proto 107`

/** Nodes that claim what is not theirs, and why they do not get it. */
const claims = [
  ['all', '0.0.0.0/0', '192.0.2.10', /^it contains all addresses$/],
  ['outside', '10.99.0.0/24', '192.0.2.10', /^it is outside of --cluster-cidr$/],
  [
    'part-of-ours',
    '10.244.1.128/25',
    '192.0.2.10',
    /^it overlaps 10\.244\.1\.0\/24, the range of this node$/,
  ],
  ['around-ours', '10.244.0.0/16', '192.0.2.10', /^it overlaps 10\.244\.1\.0\/24, the range of this node$/],
  ['around-itself', '10.244.50.0/24', '10.244.50.7', /^10\.244\.50\.7, the address of a node, is in it$/],
  ['of-our-address', '10.244.51.0/24', '192.0.2.1', /^the node has the address of this one, 192\.0\.2\.1$/],
  ['of-no-address', '10.244.52.0/24', '2001:db8::52', /^the node has no InternalIP of IPv4$/],
] as const

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet-agent --node-routes`, async t => {
    const args = ['--node-routes', '--resync-seconds', '1', '--log-level', 'debug']
    const ranges = ['--cluster-cidr', '10.244.0.0/16,fd00:244::/32']
    const node = await RoutingNode.create(t, { flavour, nodes: [n1, n2], args: [...args, ...ranges] })
    const { it, host } = node
    const { nodes } = it.api
    const untouched = await node.foreign()

    await t.test('has a route to each range of every other node', async t => {
      await node.has(...toN2)
      t.equal(
        await host.sh('ip route show proto 107; ip -6 route show proto 107'),
        '10.244.2.0/24 via 192.0.2.2 dev eth0 \n' +
          'fd00:244:2::/64 via 2001:db8::2 dev eth0 metric 1024 pref medium\n',
      )
      await eventually('ready', async () => (await it.ask('/readyz')).status === 200)
      t.equal(await it.metric('routes{state="installed"}'), 2)
      t.equal(await it.metric('nodes'), 2)
    })

    await t.test('follows nodes that come, are renumbered, and go', async t => {
      await it.watching()
      nodes.put(n3)
      await node.has(...toN2, ...toN3)
      nodes.put({ ...n3, addresses: ['192.0.2.33'] })
      await node.has(...toN2, '10.244.3.0/24 via 192.0.2.33')
      nodes.put({ ...n3, podCIDRs: ['10.244.30.0/24'] })
      await node.has(...toN2, '10.244.30.0/24 via 192.0.2.3')
      nodes.remove('n3')
      await node.has(...toN2)
      nodes.remove('n2')
      await node.has()
      t.equal(await node.foreign(), untouched)
    })

    await t.test('a node that is on no link of this one has no route until it is', async t => {
      nodes.set([n1, far, n3])
      await node.has(...toN3)
      const { error, level } = await it.agent.said('a route could not be added', { dst: '10.244.9.0/24' })
      t.match(error, /^add the route to 10\.244\.9\.0\/24 via 198\.51\.100\.9: E(NETUNREACH|INVAL): /)
      t.equal(level, 'warn')
      await eventually('both', async () => (await it.metric('routes{state="unreachable"}')) === 2)
      t.equal((await it.ask('/readyz')).status, 200, 'it is no reason to take this node out of service')
      await host.sh('ip addr add 198.51.100.1/24 dev eth0')
      await node.has(...toN3, '10.244.9.0/24 via 198.51.100.9')
      await host.sh('ip addr del 198.51.100.1/24 dev eth0')
      nodes.set([n1, n2])
      await node.has(...toN2)
      t.equal(await node.foreign(), untouched)
    })

    // What differs between the kinds of program has been seen by here, and is seen again at the end.
    if (flavour === flavours[0]) {
      await t.test(
        'routes of other programs stay, whatever their metric, until these remove them',
        async t => {
          nodes.set([n1])
          await node.has()
          await host.sh(`
        ip route add 10.244.2.0/24 via 192.0.2.200 proto static
        ip -6 route add fd00:244:2::/64 via 2001:db8::200 proto bird metric 32
        ip route add 10.244.3.0/24 via 192.0.2.200 proto 99 metric 4000
        ip route add 10.244.88.0/24 via 192.0.2.88 proto 107 table 100`)
          const foreign = await node.foreign()
          await node.lookedAgain()
          nodes.set([n1, n2, n3])
          await eventually('all three', async () => (await it.metric('routes{state="occupied"}')) === 3)
          await node.lookedAgain()
          t.same(await node.routes(), [])
          t.equal(await node.foreign(), foreign)
          t.equal(
            await host.sh('ip route show table 100'),
            '10.244.88.0/24 via 192.0.2.88 dev eth0 proto 107 \n',
          )
          t.equal(it.agent.log.filter(({ state }) => state === 'occupied').length, 3, 'said once of each')
          await host.sh('ip route del 10.244.2.0/24 proto static; ip route del 10.244.3.0/24 proto 99')
          await node.has('10.244.2.0/24 via 192.0.2.2', ...toN3)
          await host.sh('ip -6 route del fd00:244:2::/64 proto bird; ip route flush table 100')
          await node.has(...toN2, ...toN3)
        },
      )

      await t.test('removed and changed routes are repaired, routes to no node are removed', async t => {
        nodes.set([n1, n2])
        await host.sh(`ip route flush proto 107; ip -6 route flush proto 107; ${strays}`)
        await node.has(...toN2)
        await host.sh('ip route replace 10.244.2.0/24 via 192.0.2.99 proto 107')
        await node.has(...toN2)
        // With the link the kernel forgets its routes, and the address of IPv6.
        await host.sh('ip link set eth0 down; ip link set eth0 up')
        await host.sh(
          'ip addr replace 2001:db8::1/64 dev eth0 nodad; ip -6 route add default via 2001:db8::fe',
        )
        await host.sh('ip route add default via 192.0.2.254')
        await node.has(...toN2)
        t.equal(await node.foreign(), untouched)
      })

      await t.test('no node gets what is not its own', async t => {
        nodes.set([
          n1,
          n3,
          ...claims.map(([name, podCIDR, address]) => ({ name, podCIDRs: [podCIDR], addresses: [address] })),
        ])
        await node.has(...toN3)
        for (const [name, , , reason] of claims) {
          t.match((await it.agent.said('no route', { node: name })).reason, reason)
        }
        t.same(await node.routes(), toN3)
      })

      await t.test('of two nodes with one range the first by name has it, then the other', async t => {
        const twin = { name: 'a-twin', podCIDRs: n3.podCIDRs, addresses: ['192.0.2.44'] }
        nodes.set([n1, n3, twin])
        await node.has('10.244.3.0/24 via 192.0.2.44')
        const { reason } = await it.agent.said('no route', { node: 'a-twin' })
        t.equal(reason, 'several nodes have it: a-twin, n3')
        nodes.remove('a-twin')
        t.ok(await node.has(...toN3))
      })

      await t.test('neither an outage nor a list without this node takes routes away', async t => {
        nodes.set([n1, n2, n3])
        await node.has(...toN2, ...toN3)
        await it.api.down()
        await it.agent.said('the connection to the API server ended')
        nodes.set([])
        nodes.compact()
        const before = it.agent.log.length
        await it.api.up()
        await it.agent.said('listed nodes', { nodes: 0 }, before)
        await node.lookedAgain()
        t.same(await node.routes(), [...toN2, ...toN3].sort())
        nodes.put(n1)
        t.ok(await node.has(), 'with this node the list is believed')
        nodes.put(n2)
        t.ok(await node.has(...toN2))
      })
    }

    await t.test('SIGTERM leaves the routes, --remove-on-exit takes ours along', async t => {
      nodes.set([n1, n2])
      await node.has(...toN2)
      t.equal(await it.agent.stop(), 0)
      t.same(await node.routes(), toN2)
      await host.sh(`${strays}; ip route del 10.244.2.0/24 proto 107`)
      // A list so large comes compressed.
      const large = Array.from({ length: 300 }, (_, i) => ({ name: `large-${i}`, images: 50 }))
      nodes.set([n1, n2, ...large])
      await it.restart(['--node-routes', '--remove-on-exit'])
      t.equal((await it.agent.said('listed nodes')).nodes, 302)
      await node.has(...toN2)
      t.equal(await it.agent.stop(), 0)
      t.same(await node.routes(), [])
      t.equal(await node.foreign(), untouched)
    })
  })
}
