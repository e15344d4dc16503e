/**
 * The machine's own kernel may have been built without bridge VLANs: these tests boot one that has them. As starting a
 * program takes long there, all is done in one boot, and calls are answered by one process; an executable itself is called
 * for the ADD of the first container.
 */
import t, { type Test } from 'tap'
import { bridgeConf, layer2Conf } from '../../fixtures/bridge'
import { anyFlavour, builtDir, type Flavour, type Json, peerDir } from '../../fixtures/cni'
import { umlMissing } from '../../fixtures/uml'
import { runSteps, type Step } from '../../fixtures/uml-bridge'

const conf = (value: Json) => `'${JSON.stringify(value)}'`
/** The VLANs in what `bridge -j vlan` prints; it adds empty flags to spans alone. */
const vlansOf = (text: string): Json =>
  (JSON.parse(text)[0]?.vlans ?? []).map(({ flags, ...vlan }: Json) =>
    flags?.length ? { ...vlan, flags } : vlan,
  )

const native = (vlan: number) => ({ vlan, flags: ['PVID', 'Egress Untagged'] })

const namesOf = (text: string): string[] => JSON.parse(text).map(({ ifname }: Json) => ifname)

/** Containers in a VLAN have their gateway on <bridge>.<vlan>: the ADD by an executable of a flavour. */
const inVlan = (
  flavour: Flavour,
): { steps: Step[]; see: (t: Test, shown: (name: string) => string) => void } => {
  const one = bridgeConf('dual', { vlan: 100, isDefaultGateway: true, cniVersion: '1.1.0' })
  const bin = builtDir(flavour)
  const steps: Step[] = [
    ['add', `ip netns add c1; real ${bin} ADD c1 ${conf(one)} > c1.result; cat c1.result`],
    ['links', 'ip -j -d addr'],
    ['port vlans', 'vlans $(veth c1)'],
    ['gateway vlans', 'vlans $(ip -j link | jq -r \'.[] | select(.link == "br0.100") | .ifname\')'],
    ['ping', 'for a in 10.1.2.1 fd00:2::1; do pings c1 $a; done'],
    ['check', `check c1 ${conf(one)}`],
    ['del', `for i in 1 2; do cni DEL c1 ${conf(one)}; done`],
    ['links after', 'ip -j link; ip link del br0.100; ip link del br0'],
  ]
  const see = (t: Test, shown: (name: string) => string) => {
    const { interfaces } = JSON.parse(shown('add'))
    const links = new Map<string, Json>(JSON.parse(shown('links')).map((link: Json) => [link.ifname, link]))
    const gateway = links.get('br0.100')
    t.same(interfaces[3], { name: 'br0.100', mac: gateway.address, mtu: 1500 })
    t.equal(interfaces.length, 4)
    const port = links.get(gateway.link)
    t.equal(port.ifindex, gateway.ifindex - 1, 'its peer has the ifindex just below')
    t.equal(port.master, 'br0')
    t.equal(port.ifalias, 'gateway br0.100')
    t.same(
      gateway.addr_info.filter(({ scope }: Json) => scope === 'global').map(({ local }: Json) => local),
      ['10.1.2.1', 'fd00:2::1'],
    )
    t.notOk(links.get('br0').addr_info.some(({ scope }: Json) => scope === 'global'))
    t.equal(gateway.group, 'default')
    t.equal(links.size, 5, 'lo, the bridge, the veth, and the pair of the VLAN')
    t.same(vlansOf(shown('port vlans')), [native(100)])
    t.same(vlansOf(shown('gateway vlans')), [native(100)])
    t.equal(shown('ping'), 'yes\nyes')
    t.equal(shown('check'), '')
    t.equal(shown('del'), '')
    t.same(namesOf(shown('links after')).sort(), ['br0', 'br0.100', 'lo', port.ifname].sort())
  }
  return { steps, see }
}

/** What a configuration says of VLANs, and what `bridge -j vlan` must show of the port. */
const tables: { what: string; more: Json; vlans: Json; filtering: number }[] = [
  { what: 'nothing', more: {}, vlans: [native(1)], filtering: 0 },
  { what: 'vlan', more: { vlan: 100 }, vlans: [native(100)], filtering: 1 },
  {
    what: 'vlan beside the default one',
    more: { vlan: 100, preserveDefaultVlan: true },
    vlans: [{ vlan: 1, flags: ['Egress Untagged'] }, native(100)],
    filtering: 1,
  },
  {
    what: 'a trunk',
    more: { vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 210 }] },
    vlans: [native(1), { vlan: 101 }, { vlan: 200, vlanEnd: 210 }],
    filtering: 1,
  },
  {
    what: 'vlan and a trunk',
    more: { vlan: 100, vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 210 }] },
    vlans: [native(100), { vlan: 101 }, { vlan: 200, vlanEnd: 210 }],
    filtering: 1,
  },
  {
    what: 'a trunk with vlan in it',
    more: { vlan: 100, vlanTrunk: [{ minID: 99, maxID: 101 }] },
    vlans: [{ vlan: 99 }, native(100), { vlan: 101 }],
    filtering: 1,
  },
  { what: 'an empty trunk', more: { vlanTrunk: [] }, vlans: [native(1)], filtering: 1 },
  {
    what: 'every VLAN',
    more: { vlanTrunk: [{ minID: 1, maxID: 4094 }] },
    vlans: [native(1), { vlan: 2, vlanEnd: 4094 }],
    filtering: 1,
  },
]

const tableSteps = (): Step[] => {
  const steps = tables.flatMap(({ more }, i): Step[] => {
    const one = layer2Conf({ ...more, bridge: `brt${i}` })
    return [
      [`add ${i}`, `add t${i} ${conf(one)}`],
      [`vlans ${i}`, `vlans $(veth t${i})`],
      [`bridge ${i}`, `ip -j -d link show brt${i}`],
      [`check ${i}`, `check t${i} ${conf(one)}`],
    ]
  })
  const last = layer2Conf({ ...tables.at(-1)?.more, bridge: `brt${tables.length - 1}` })
  const id = `t${tables.length - 1}`
  return [...steps, ['gone', `bridge vlan del dev $(veth ${id}) vid 4000; check ${id} ${conf(last)}`]]
}

const seeTables = (t: Test, shown: (name: string) => string): void => {
  tables.forEach(({ what, vlans, filtering }, i) => {
    t.same(vlansOf(shown(`vlans ${i}`)), vlans, what)
    t.equal(JSON.parse(shown(`bridge ${i}`))[0].linkinfo.info_data.vlan_filtering, filtering, what)
    t.equal(shown(`check ${i}`), '', what)
  })
  t.match(shown('gone'), /bridge port veth[0-9a-f]+ is not in VLAN 4000"/)
}

const apartSteps = (): Step[] => {
  const one = (vlan: number) =>
    conf(
      bridgeConf('v4', {
        bridge: 'bra',
        vlan,
        isGateway: true,
        name: `net${vlan}`,
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24', rangeStart: `10.1.2.${vlan}` }]] },
      }),
    )
  const layer2 = (vlan: number) => conf(layer2Conf({ bridge: 'bra', vlan }))
  return [
    ['apart add', `add a ${one(20)}; add b ${one(20)}`],
    ['layer 2', `add c ${layer2(20)}; ip -n c addr add 10.1.2.99/24 dev eth0`],
    ['other', `add d ${layer2(30)}; ip -n d addr add 10.1.2.98/24 dev eth0`],
    ['same', 'for p in a c; do pings $p 10.1.2.21; done; pings c 10.1.2.1'],
    ['apart', 'pings d 10.1.2.20; pings d 10.1.2.1; pings a 10.1.2.98'],
    ['gateways', 'ip -j link | jq -c \'[.[] | .ifname | select(test("\\\\."))]\''],
    ['gateway gone', `check a ${one(20)}; ip addr del 10.1.2.1/24 dev bra.20; check a ${one(20)}`],
    ['apart del', 'for i in bra.20 bra; do ip link del $i; done'],
  ]
}

const seeApart = (t: Test, shown: (name: string) => string): void => {
  t.equal(shown('same'), 'yes\nyes\nyes')
  t.equal(shown('apart'), 'no\nno\nno')
  t.equal(shown('gateways'), '["bra.20"]', 'made once')
  t.match(shown('gateway gone'), /^\{.*"msg":"bra\.20 lacks the gateway 10\.1\.2\.1 of 10\.1\.2\.20\/24"/)
}

const existingSteps = (): Step[] => {
  const uplinks = conf(
    layer2Conf({ bridge: 'bru', vlan: 50, vlanTrunk: [{ minID: 51, maxID: 53 }], uplinks: ['up0'] }),
  )
  const half = bridgeConf('v4', { bridge: 'brh', vlan: 7, isGateway: true, prune: true, name: 'half' })
  return [
    [
      'unfiltered',
      `ip link add brx type bridge; add u ${conf(layer2Conf({ bridge: 'brx', vlan: 5 }))}; cat /run/stderr`,
    ],
    ['still unfiltered', 'ip -j -d link show brx'],
    [
      'no uplink',
      `ip link add bru type bridge vlan_filtering 1; ip netns add x; cni ADD x ${uplinks}; ip -j link show master bru`,
    ],
    [
      'uplink',
      `ip link add up0 type veth peer name up1; ip link set up0 master bru
       bridge vlan add dev up0 vid 52 untagged; cni ADD x ${uplinks} > /dev/null; vlans up0`,
    ],
    // As an ADD leaves it that is killed after the first of its steps.
    [
      'half made',
      `ip link add brh group 27504 type bridge vlan_filtering 1
       ip link add vethhalf type veth peer name brh.7; ip link set brh.7 up group 27502
       add h ${conf(half)}; vlans vethhalf; ip -j -d addr show brh.7`,
    ],
    ['half ping', 'pings h 10.1.2.1'],
    [
      'pruned',
      `cni DEL h ${conf(half)}; ip -j link | jq -c '[.[] | .ifname | select(test("brh|vethhalf"))]'`,
    ],
  ]
}

const seeExisting = (t: Test, shown: (name: string) => string): void => {
  t.match(shown('unfiltered'), /bridge "brx" does not filter VLANs/)
  t.equal(JSON.parse(shown('still unfiltered'))[0].linkinfo.info_data.vlan_filtering, 0)
  const [refused = '', ports = ''] = shown('no uplink').split('\n')
  t.match(JSON.parse(refused), { code: 7, msg: '"uplinks": "up0" is no port of bridge "bru"' })
  t.same(namesOf(ports), [], 'the ADD was undone')
  t.same(vlansOf(shown('uplink')), [
    native(1),
    { vlan: 50, vlanEnd: 51 },
    { vlan: 52, flags: ['Egress Untagged'] },
    { vlan: 53 },
  ])
  const [vlans, addresses] = shown('half made')
    .split('\n')
    .map(text => JSON.parse(text))
  t.same(vlansOf(JSON.stringify(vlans)), [native(7)])
  t.match(addresses[0], { group: 'default', addr_info: [{ local: '10.1.2.1' }] })
  t.equal(shown('half ping'), 'yes')
  t.equal(shown('pruned'), '[]', 'with "prune" the bridge goes, and the pair of its VLAN with it')
}

/** A container that the reference added in a VLAN. */
const referenceSteps = (): Step[] => {
  const old = conf(bridgeConf('v4', { bridge: 'brp', vlan: 9, isGateway: true, name: 'old' }))
  return [
    [
      'reference',
      `[ -x ${peerDir}/bridge ] || exit 0
       ip netns add p; real ${peerDir} ADD p ${old} > p.result; check p ${old}; cni DEL p ${old}; ip -n p -j link`,
    ],
  ]
}

const seeReference = (t: Test, shown: (name: string) => string): void => {
  if (shown('reference') === '') {
    t.pass(`${peerDir}/bridge is not installed`, { skip: `${peerDir}/bridge is not installed` })
    return
  }
  const lines = shown('reference').split('\n')
  t.same(lines.slice(0, -1).join(''), '', 'neither CHECK nor DEL has anything to say')
  t.same(namesOf(lines.at(-1) ?? ''), ['lo'])
}

const [flavour] = anyFlavour

t.test('VLANs', umlMissing ? { skip: umlMissing } : {}, async t => {
  if (!flavour) return
  const first = inVlan(flavour)
  const shown = await runSteps(t, [
    ...first.steps,
    ...tableSteps(),
    ...apartSteps(),
    ...existingSteps(),
    ...referenceSteps(),
  ])
  t.test(`[${flavour}] containers in a VLAN have their gateway on <bridge>.<vlan>`, async t =>
    first.see(t, shown),
  )
  t.test('a port is in the VLANs that the configuration names', async t => seeTables(t, shown))
  t.test('VLANs keep containers of one bridge apart', async t => seeApart(t, shown))
  t.test('existing objects, and invalid configurations', async t => seeExisting(t, shown))
  t.test('CHECK and DEL of the reference’s ADD', async t => seeReference(t, shown))
})
