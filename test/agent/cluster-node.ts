import t from 'tap'
import { formatRanges, isSameNetwork, readNode } from '../../agent/cluster-node'
import { formatAddr } from '../../src/ip/addr'

const metadata = { name: 'n1', resourceVersion: '1' }
const address = (type: string, text: string) => ({ type, address: text })

t.test('readNode() reads ranges and the first InternalIP of each family', async t => {
  const node = readNode({
    metadata,
    spec: { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', 'fd00::/64'] },
    status: {
      addresses: [
        address('ExternalIP', '203.0.113.1'),
        address('InternalIP', '192.0.2.1'),
        address('InternalIP', '192.0.2.99'),
        address('Hostname', 'n1'),
        address('InternalIP', '2001:db8::1'),
      ],
    },
  })
  t.equal(formatRanges(node?.podCIDRs ?? []), '10.1.0.0/24,fd00::/64')
  t.same(node?.addresses.map(formatAddr), ['192.0.2.1', '2001:db8::1'])
})

t.test('readNode() takes podCIDR where it is all there is', async t => {
  t.equal(
    formatRanges(readNode({ metadata, spec: { podCIDR: '10.1.0.0/24' } })?.podCIDRs ?? []),
    '10.1.0.0/24',
  )
  t.same(readNode({ metadata })?.podCIDRs, [])
})

t.test('readNode() knows what is no node', async t => {
  for (const value of [
    undefined,
    null,
    'n1',
    [],
    {},
    { metadata: { name: 'n1' } },
    { metadata: { resourceVersion: '1' } },
  ]) {
    t.equal(readNode(value), undefined, JSON.stringify(value))
  }
})

t.test(
  'isSameNetwork() is true of nodes that differ only in what the network does not depend on',
  async t => {
    const of = (spec: object, status: object = {}, version = '1') => {
      const node = readNode({ metadata: { name: 'n1', resourceVersion: version }, spec, status })
      if (!node) throw new Error('it is no node')
      return node
    }
    const one = of({ podCIDR: '10.1.0.0/24' })
    t.equal(isSameNetwork(one, of({ podCIDR: '10.1.0.0/24' }, { images: [{ names: ['x'] }] }, '2')), true)
    t.equal(isSameNetwork(one, of({ podCIDR: '10.2.0.0/24' })), false)
    t.equal(
      isSameNetwork(one, of({ podCIDR: '10.1.0.0/24' }, { addresses: [address('InternalIP', '192.0.2.1')] })),
      false,
    )
  },
)
