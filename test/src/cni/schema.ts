import t from 'tap'
import * as v from 'valibot'
import { addr, cidr, foldKeys, integer, mac, parseBySchema } from '../../../src/cni/schema'
import { formatCidr } from '../../../src/ip/cidr'

const schema = v.object({
  hostPort: v.optional(v.number()),
  nested: v.optional(v.array(v.object({ HostIP: v.optional(v.string()) }))),
})

t.test('foldKeys() finds keys in any case, deep inside lists too', async t => {
  t.same(foldKeys(schema, { HostPort: 80, NESTED: [{ hostip: '10.0.0.1' }] }), {
    hostPort: 80,
    nested: [{ HostIP: '10.0.0.1' }],
  })
})

t.test('foldKeys() prefers the exact key to another spelling of it', async t => {
  t.same(foldKeys(schema, { hostport: 1, hostPort: 2, HOSTPORT: 3 }), { hostPort: 2 })
})

t.test('foldKeys() takes null and "" as absent and drops what the schema does not know', async t => {
  t.same(
    foldKeys(schema, { hostPort: null, nested: [{ HostIP: '' }], other: 1, __proto__: { hostPort: 9 } }),
    {
      nested: [{}],
    },
  )
})

t.test('foldKeys() is not led astray by __proto__ from JSON', async t => {
  const folded = foldKeys(schema, JSON.parse('{"__proto__": {"hostPort": 9}, "constructor": {"x": 1}}'))
  t.same(folded, {})
  t.equal((folded as { hostPort?: number }).hostPort, undefined)
})

t.test('parseBySchema() names the key that does not fit, with code 7', async t => {
  const conf = v.object({
    mtu: v.optional(integer(0, 65535)),
    ranges: v.optional(v.array(v.array(v.object({ subnet: cidr, gateway: v.optional(addr) })))),
    mac: v.optional(mac),
  })
  const cases: [unknown, string][] = [
    [{ mtu: 'x' }, 'bridge: "mtu": expected number but received "x"'],
    [{ mtu: 1.5 }, 'bridge: "mtu": expected a whole number from 0 to 65535 but received 1.5'],
    [{ mtu: 70000 }, 'bridge: "mtu": expected a whole number from 0 to 65535 but received 70000'],
    [
      { ranges: [[{ subnet: '10.1' }]] },
      'bridge: "ranges.0.0.subnet": expected an address with a prefix length but received "10.1"',
    ],
    [
      { ranges: [[{ subnet: '10.0.0.0/8', gateway: 'gw' }]] },
      'bridge: "ranges.0.0.gateway": expected an IP address but received "gw"',
    ],
    [{ mac: '00:11' }, 'bridge: "mac": expected a MAC address but received "00:11"'],
    [[], 'bridge: expected Object but received "[]"'],
  ]
  for (const [value, message] of cases) {
    t.throws(() => parseBySchema(conf, value, 'bridge'), { code: 7, message }, JSON.stringify(value))
  }
})

t.test('addresses come out of a schema as values, and MACs in one form', async t => {
  const conf = parseBySchema(
    v.object({ net: cidr, mac: mac }),
    { net: 'FD00::5/64', mac: '0A-0B-0C-0D-0E-0F' },
    'x',
  )
  t.equal(formatCidr(conf.net), 'fd00::5/64')
  t.equal(conf.mac, '0a:0b:0c:0d:0e:0f')
})
