/** Which routes a node must the others: above all, what of the ranges that overlap. */
import t from 'tap'
import { type ClusterNode, readNode } from '../../../agent/cluster-node'
import { isRoute, RouteTable } from '../../../agent/routes/route-table'

const nodeOf = (name: string, created: string, podCIDR: string, address: string): ClusterNode => {
  const node = readNode({
    metadata: { name, resourceVersion: '1', creationTimestamp: created },
    spec: { podCIDR },
    status: { addresses: [{ type: 'InternalIP', address }] },
  })
  if (!node) throw new Error('no node')
  return node
}

const self = nodeOf('self', '2024-01-01T00:00:00Z', '10.244.1.0/24', '192.0.2.1')
const victim = nodeOf('victim', '2024-01-02T00:00:00Z', '10.244.2.0/24', '192.0.2.2')
const part = nodeOf('attacker', '2024-01-03T00:00:00Z', '10.244.2.0/25', '192.0.2.3')
const whole = nodeOf('attacker', '2024-01-03T00:00:00Z', '10.244.0.0/16', '192.0.2.3')
const honest = nodeOf('other', '2024-01-04T00:00:00Z', '10.244.3.0/24', '192.0.2.4')

const routesOf = (table: RouteTable): string[] =>
  [...table.destinations()].filter(key => isRoute(table.routeTo(key))).sort()

t.test('a range of this node for whose family it has no address is a problem of its own', async t => {
  const node = readNode({
    metadata: { name: 'self', resourceVersion: '1' },
    spec: { podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'] },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
  })
  if (!node) throw new Error('no node')
  const table = new RouteTable('self', [])
  table.replace([node, honest])
  t.match(table.problems(), [
    {
      node: 'self',
      reason: 'this node has no InternalIP of IPv6: no other node can have a route to its pods',
    },
  ])
})

t.test('a part of the range of an older node gets no route, and is named', async t => {
  const table = new RouteTable('self', [])
  table.replace([self, part, victim, honest])
  t.same(routesOf(table), ['10.244.2.0/24', '10.244.3.0/24'])
  t.match(table.problems(), [
    { node: 'attacker', reason: 'it overlaps 10.244.2.0/24, the range of the older node "victim"' },
  ])
})

t.test('nor does a range around those of older nodes, which keep their routes', async t => {
  const table = new RouteTable('other', [])
  table.replace([honest, whole, victim])
  t.same(routesOf(table), ['10.244.2.0/24'])
})

t.test('equally old nodes go by their names', async t => {
  const table = new RouteTable('self', [])
  table.replace([self, { ...part, created: victim.created }, victim])
  t.same(routesOf(table), ['10.244.2.0/25'])
})

t.test('a change touches what it overlaps', async t => {
  const table = new RouteTable('self', [])
  table.replace([self, part])
  t.same(routesOf(table), ['10.244.2.0/25'])
  t.same(table.change(undefined, victim), ['10.244.2.0/24', '10.244.2.0/25'])
  t.same(routesOf(table), ['10.244.2.0/24'])
  t.same(table.change(victim, undefined), ['10.244.2.0/24', '10.244.2.0/25'])
  t.same(routesOf(table), ['10.244.2.0/25'])
})

t.test('several thousand nodes, and one whose range overlaps all of them', async t => {
  const nodes = Array.from({ length: 5000 }, (_, i) =>
    nodeOf(`n${i}`, '2024-01-02T00:00:00Z', `10.${i >> 8}.${i & 255}.0/24`, `172.16.${i >> 8}.${i & 255}`),
  )
  const table = new RouteTable('self', [])
  const start = performance.now()
  table.replace([...nodes, nodeOf('attacker', '2025-01-01T00:00:00Z', '10.0.0.0/8', '192.0.2.3')])
  t.equal(table.problems().length, 1)
  t.equal(routesOf(table).length, 5000)
  t.ok(performance.now() - start < 5000, 'in less than five seconds')
})
