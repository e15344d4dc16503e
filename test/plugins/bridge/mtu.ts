import t from 'tap'
import { minMtu, type Reader, withinLimits } from '../../../plugins/bridge/mtu'
import { parseCidr } from '../../../src/ip/cidr'
import type { LinkAddr } from '../../../src/netlink/addr'
import { IFF_LOOPBACK, IFF_POINTOPOINT, IFF_UP, type Link } from '../../../src/netlink/link'
import type { ListedRoute } from '../../../src/netlink/route'

/** An interface, with what `ip addr` and `ip route` say of it: "192.0.2.1/24 link" has the scope of the link. */
type Given = Partial<Link> & { addrs?: string[]; routes?: string[] }

let indexes = 0
const addrs = new Map<number, LinkAddr[]>()
const routes = new Map<number, ListedRoute[]>()

const cidrOf = (text: string) => {
  const cidr = parseCidr(text)
  if (!cidr) throw new Error(text)
  return cidr
}

const link = (
  name: string,
  mtu: number,
  { addrs: own = [], routes: over = [], ...more }: Given = {},
): Link => {
  const index = ++indexes
  addrs.set(
    index,
    own.map(text => {
      const [cidr = '', scope] = text.split(' ')
      return { index, cidr: cidrOf(cidr), flags: 0, scope: scope === 'link' ? 253 : 0 }
    }),
  )
  routes.set(
    index,
    over.map(text => {
      const [dst = '', via] = text.split(' via ')
      const gw = via === undefined ? undefined : cidrOf(`${via}/32`).addr
      return { index, dst: cidrOf(dst), gw, priority: 0, table: 254, protocol: 3, scope: 0 }
    }),
  )
  return {
    index,
    name,
    kind: '',
    flags: IFF_UP,
    mtu,
    mac: '',
    master: 0,
    peer: 0,
    peerNetnsId: undefined,
    operState: 6,
    promiscuity: 0,
    alias: '',
    group: 0,
    vlanFiltering: false,
    hairpin: false,
    isolated: false,
    ...more,
  }
}

/** Tells what was asked for. */
const reader = (): Reader & { asked: string[] } => {
  const asked: string[] = []
  return {
    asked,
    addresses: ({ name, index }) => {
      asked.push(`addresses of ${name}`)
      return addrs.get(index) ?? []
    },
    routes: ({ name, index }) => {
      asked.push(`routes over ${name}`)
      return routes.get(index) ?? []
    },
  }
}

const lo = link('lo', 65536, { flags: IFF_UP | IFF_LOOPBACK, addrs: ['127.0.0.1/8'] })
const eth0 = link('eth0', 1500, { addrs: ['192.0.2.1/24'] })
/** An interface beside eth0 with an address of the node. */
const second = (mtu: number, more: Given = {}) => link('x', mtu, { addrs: ['198.51.100.1/24'], ...more })

t.test('minMtu() is the smallest of the interfaces that can carry traffic of pods', async t => {
  const bridge = link('br0', 1000, { kind: 'bridge', addrs: ['10.1.2.1/24'] })
  const cases: [string, Link[], number][] = [
    ['no interface', [], 1460],
    ['loopback alone', [lo], 1460],
    ['one', [lo, eth0], 1500],
    ['the smallest', [lo, eth0, second(1400), link('y', 9000, { addrs: ['fd00::1/64'] })], 1400],
    ['one that is down', [eth0, second(1400, { flags: 0 })], 1500],
    ['a tunnel with an address', [eth0, second(1400, { flags: IFF_UP | IFF_POINTOPOINT })], 1400],
    ['a VXLAN with a single address', [eth0, second(1450, { kind: 'vxlan', addrs: ['10.2.0.0/32'] })], 1450],
    ['a veth with an address of the node', [second(1400, { kind: 'veth' })], 1400],
    ['a veth with a default route', [second(1400, { kind: 'veth', addrs: [], routes: ['0.0.0.0/0'] })], 1400],
    [
      'a veth with a single address and a default route, as in a pod',
      [second(1400, { kind: 'veth', addrs: ['10.3.0.7/32'], routes: ['0.0.0.0/0 via 169.254.1.1'] })],
      1400,
    ],
    [
      'a veth that leads to a container',
      [eth0, second(1400, { kind: 'veth', addrs: ['10.3.0.1/32'], routes: ['10.3.0.7/32'] })],
      1500,
    ],
    [
      'a veth without address that leads to a container',
      [eth0, second(72, { kind: 'veth', addrs: ['fe80::1/64'], routes: ['10.3.0.7/32', 'fe80::/64'] })],
      1500,
    ],
    ['one without address and route', [eth0, link('can0', 72)], 1500],
    ['one without address and route, alone', [link('can0', 72)], 1460],
    ['one with link-local addresses', [eth0, second(72, { addrs: ['fe80::1/64', '169.254.3.4/16'] })], 1500],
    ['one with an address for its link', [eth0, second(72, { addrs: ['10.9.0.1/24 link'] })], 1500],
    [
      'one with routes for its link',
      [eth0, second(72, { addrs: [], routes: ['fe80::/64', 'ff00::/8'] })],
      1500,
    ],
    ['one with a route to a network', [eth0, second(1400, { addrs: [], routes: ['10.9.0.0/24'] })], 1400],
    ['an ifb', [eth0, second(1400, { kind: 'ifb' })], 1500],
    ['the bridge itself', [eth0, bridge], 1500],
    ['its interface in a VLAN', [eth0, second(1400, { name: 'br0.5', kind: 'veth' })], 1500],
    ['a port of the bridge', [eth0, bridge, second(1400, { master: bridge.index })], 1500],
    ['a port of another bridge', [eth0, second(1400, { master: 99 })], 1500],
    ['another bridge', [eth0, second(1450, { name: 'docker0', kind: 'bridge' })], 1450],
  ]
  for (const [what, links, expected] of cases) {
    t.equal(minMtu(links, { bridge: 'br0', otherwise: 1460 }, reader()), expected, what)
  }
})

t.test('minMtu() asks no more than it must', async t => {
  const cases: [string, Link[], string[]][] = [
    ['whatever they carry, it is 1500', [eth0, link('eth1', 1500)], []],
    ['the smallest has an address', [eth0, second(1400)], ['addresses of x']],
    [
      'the smallest has nothing',
      [eth0, link('can0', 72), link('eth1', 9000)],
      ['addresses of can0', 'routes over can0', 'addresses of eth0'],
    ],
  ]
  for (const [what, links, expected] of cases) {
    const read = reader()
    minMtu(links, { bridge: 'br0', otherwise: 1500 }, read)
    t.same(read.asked, expected, what)
  }
})

t.test('withinLimits() goes no lower than 576, with IPv6 than 1280', async t => {
  t.equal(withinLimits(1500, { overhead: 50, v6: true }), 1450)
  t.equal(withinLimits(577, { overhead: 0, v6: false }), 577)
  t.equal(withinLimits(600, { overhead: 50, v6: false }), 576)
  t.equal(withinLimits(1300, { overhead: 50, v6: true }), 1280)
})
