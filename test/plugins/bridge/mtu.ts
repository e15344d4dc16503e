import t from 'tap'
import { minMtu } from '../../../plugins/bridge/mtu'
import { IFF_LOOPBACK, IFF_POINTOPOINT, IFF_UP, type Link } from '../../../src/netlink/link'

let indexes = 0

const link = (name: string, mtu: number, more: Partial<Link> = {}): Link => ({
  index: ++indexes,
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
})

const lo = link('lo', 65536, { flags: IFF_UP | IFF_LOOPBACK })
const eth0 = link('eth0', 1500)

t.test('minMtu() is the least of the interfaces to the outside', async t => {
  const bridge = link('br0', 1000, { kind: 'bridge' })
  const cases: [string, Link[], number | undefined][] = [
    ['nothing', [], undefined],
    ['loopback alone', [lo], undefined],
    ['one', [lo, eth0], 1500],
    ['the least', [lo, eth0, link('eth1', 1400), link('eth2', 9000)], 1400],
    ['one that is down', [eth0, link('eth1', 1400, { flags: 0 })], 1500],
    ['a tunnel', [eth0, link('tun0', 1400, { flags: IFF_UP | IFF_POINTOPOINT })], 1500],
    ['a veth', [eth0, link('veth0', 1400, { kind: 'veth' })], 1500],
    ['an ifb', [eth0, link('ifb0', 1400, { kind: 'ifb' })], 1500],
    ['the bridge itself', [eth0, bridge], 1500],
    ['a port of the bridge', [eth0, bridge, link('eth1', 1400, { master: bridge.index })], 1500],
    ['a port of another bridge', [eth0, bridge, link('eth1', 1400, { master: 99 })], 1400],
    ['another bridge', [eth0, link('br1', 1450, { kind: 'bridge' })], 1450],
    ['not under 576', [link('eth0', 100)], 576],
    ['576', [link('eth0', 576)], 576],
  ]
  for (const [what, links, expected] of cases) t.equal(minMtu(links, 'br0'), expected, what)
})

t.test('minMtu() goes by the name where the bridge is yet to be made', async t => {
  t.equal(minMtu([lo, eth0, link('eth1', 1300, { master: 0 })], 'br0'), 1300)
})
