/** The machine's own kernel may have been built without bridge VLANs: these tests boot one that has them. */
import t, { type Test } from 'tap'
import { bridgeConf, layer2Conf } from '../fixtures/bridge'
import { binDir, type Flavour, flavours, type Json, peerDir } from '../fixtures/cni'
import { runInUml, sectionsOf, umlMissing } from '../fixtures/uml'

/** A shell function that calls bridge: cni VERB CONTAINER CONF, the namespace being called like the container. */
const prelude = (folder: string): string => `
cd /run
cni() {
  echo "$3" | CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 CNI_IFNAME=eth0 CNI_PATH=\${BIN:-${folder}} \\
    \${BIN:-${folder}}/bridge 2> /run/stderr || true
}
add() { ip netns add $1; cni ADD $1 "$2" > $1.result; cat $1.result; }
check() { cni CHECK $1 "$(echo "$2" | jq -c --slurpfile prev $1.result '.prevResult = $prev[0]')"; }
veth() { jq -r '.interfaces[1].name' $1.result; }
vlans() { bridge -compressvlans -j vlan show dev $1; }
pings() { ip netns exec $1 ping -n -c1 -W1 $2 > /dev/null && echo yes || echo no; }
`

/** Runs steps, each a name and a shell command, in one boot. Answers what each printed. */
const runSteps = async (
  t: Test,
  flavour: Flavour,
  steps: readonly (readonly [string, string])[],
): Promise<(name: string) => string> => {
  const script =
    prelude(binDir(flavour)) + steps.map(([name, command]) => `echo "@@ ${name}"\n${command}`).join('\n')
  const { code, stdout, stderr } = await runInUml(t, script, { modules: ['bridge', 'veth'] })
  t.equal(code, 0, stderr)
  const sections = sectionsOf(stdout)
  return name => sections.get(name) ?? ''
}

const conf = (value: Json) => `'${JSON.stringify(value)}'`
/** The VLANs in what `bridge -j vlan` prints; it adds empty flags to spans alone. */
const vlansOf = (text: string): Json =>
  (JSON.parse(text)[0]?.vlans ?? []).map(({ flags, ...vlan }: Json) =>
    flags?.length ? { ...vlan, flags } : vlan,
  )

const native = (vlan: number) => ({ vlan, flags: ['PVID', 'Egress Untagged'] })

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

const skip = umlMissing ? { skip: umlMissing } : {}
const [first] = flavours

for (const flavour of flavours) {
  t.test(`[${flavour}] containers in a VLAN have their gateway on <bridge>.<vlan>`, skip, async t => {
    const one = bridgeConf('dual', { vlan: 100, isDefaultGateway: true, cniVersion: '1.1.0' })
    const see = await runSteps(t, flavour, [
      ['add', `add c1 ${conf(one)}`],
      ['links', 'ip -j -d addr'],
      ['port vlans', 'vlans $(veth c1)'],
      ['gateway vlans', 'vlans $(ip -j link | jq -r \'.[] | select(.link == "br0.100") | .ifname\')'],
      ['ping', 'for a in 10.1.2.1 fd00:2::1; do pings c1 $a; done'],
      ['check', `check c1 ${conf(one)}`],
      ['del', `for i in 1 2; do cni DEL c1 ${conf(one)}; done`],
      ['links after', 'ip -j link'],
    ])
    const { interfaces } = JSON.parse(see('add'))
    const links = new Map<string, Json>(JSON.parse(see('links')).map((link: Json) => [link.ifname, link]))
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
    t.same(vlansOf(see('port vlans')), [native(100)])
    t.same(vlansOf(see('gateway vlans')), [native(100)])
    t.equal(see('ping'), 'yes\nyes')
    t.equal(see('check'), '')
    t.equal(see('del'), '')
    t.same(
      JSON.parse(see('links after'))
        .map(({ ifname }: Json) => ifname)
        .sort(),
      ['br0', 'br0.100', 'lo', port.ifname].sort(),
    )
  })
}

t.test(`[${first}] a port is in the VLANs that the configuration names`, skip, async t => {
  if (!first) return
  const steps = tables.flatMap(({ more }, i): [string, string][] => {
    const one = layer2Conf({ ...more, bridge: `br${i}` })
    return [
      [`add ${i}`, `add c${i} ${conf(one)} > /dev/null`],
      [`vlans ${i}`, `vlans $(veth c${i})`],
      [`bridge ${i}`, `ip -j -d link show br${i}`],
      [`check ${i}`, `check c${i} ${conf(one)}`],
    ]
  })
  const last = layer2Conf({ ...tables.at(-1)?.more, bridge: `br${tables.length - 1}` })
  const veth = `$(veth c${tables.length - 1})`
  const gone = `bridge vlan del dev ${veth} vid 4000; check c${tables.length - 1} ${conf(last)}`
  const see = await runSteps(t, first, [...steps, ['gone', gone]])
  tables.forEach(({ what, vlans, filtering }, i) => {
    t.same(vlansOf(see(`vlans ${i}`)), vlans, what)
    t.equal(JSON.parse(see(`bridge ${i}`))[0].linkinfo.info_data.vlan_filtering, filtering, what)
    t.equal(see(`check ${i}`), '', what)
  })
  t.match(see('gone'), /bridge port veth[0-9a-f]+ is not in VLAN 4000"/)
})

t.test(`[${first}] VLANs keep containers of one bridge apart`, skip, async t => {
  if (!first) return
  const one = (vlan: number) =>
    bridgeConf('v4', {
      vlan,
      isGateway: true,
      name: `net${vlan}`,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24', rangeStart: `10.1.2.${vlan}` }]] },
    })
  const layer2 = layer2Conf({ vlan: 20 })
  const see = await runSteps(t, first, [
    ['add', `add a ${conf(one(20))}; add b ${conf(one(20))}`],
    ['layer 2', `add c ${conf(layer2)} > /dev/null; ip -n c addr add 10.1.2.99/24 dev eth0`],
    ['other', `add d ${conf(layer2Conf({ vlan: 30 }))} > /dev/null; ip -n d addr add 10.1.2.98/24 dev eth0`],
    ['same', 'for p in a c; do pings $p 10.1.2.21; done; pings c 10.1.2.1'],
    ['apart', 'pings d 10.1.2.20; pings d 10.1.2.1; pings a 10.1.2.98'],
    ['gateways', 'ip -j link | jq -c \'[.[] | .ifname | select(test("\\\\."))]\''],
    ['check', `check a ${conf(one(20))}; ip addr del 10.1.2.1/24 dev br0.20; check a ${conf(one(20))}`],
  ])
  t.equal(see('same'), 'yes\nyes\nyes')
  t.equal(see('apart'), 'no\nno\nno')
  t.equal(see('gateways'), '["br0.20"]', 'made once')
  t.match(
    see('check'),
    /^\{.*"msg":"br0 lacks the gateway 10\.1\.2\.1 of|br0\.20 lacks the gateway 10\.1\.2\.1/,
  )
})

t.test(`[${first}] what is there already, and what cannot be`, skip, async t => {
  if (!first) return
  const uplinks = layer2Conf({ vlan: 50, vlanTrunk: [{ minID: 51, maxID: 53 }], uplinks: ['up0'] })
  const long = bridgeConf('v4', { bridge: 'br-of-12-byte', vlan: 100, isGateway: true })
  const half = bridgeConf('v4', { bridge: 'brh', vlan: 7, isGateway: true, name: 'half' })
  const old = bridgeConf('v4', { bridge: 'brp', vlan: 9, isGateway: true, name: 'old' })
  const see = await runSteps(t, first, [
    [
      'unfiltered',
      `ip link add bru type bridge; add u ${conf(layer2Conf({ bridge: 'bru', vlan: 5 }))} > /dev/null; cat /run/stderr`,
    ],
    ['still unfiltered', 'ip -j -d link show bru'],
    [
      'no uplink',
      `ip link add br0 type bridge vlan_filtering 1; add x ${conf(uplinks)}; ip -j link | jq length`,
    ],
    [
      'uplink',
      `ip link add up0 type veth peer name up1; ip link set up0 master br0
       bridge vlan add dev up0 vid 52 untagged; cni ADD x ${conf(uplinks)} > /dev/null; vlans up0`,
    ],
    ['long', `add y ${conf(long)}`],
    // As an ADD leaves it that is killed after the first of its steps.
    [
      'half made',
      `ip link add brh type bridge vlan_filtering 1; ip link add vethhalf type veth peer name brh.7
       ip link set brh.7 up group 27502; add h ${conf(half)} > /dev/null; vlans vethhalf; ip -j -d addr show brh.7`,
    ],
    ['half ping', 'pings h 10.1.2.1'],
    [
      'reference',
      `BIN=${peerDir}; [ -x $BIN/bridge ] && add p ${conf(old)} > /dev/null || echo none; unset BIN`,
    ],
    [
      'reference checked',
      `[ -x ${peerDir}/bridge ] && { check p ${conf(old)}; cni DEL p ${conf(old)}; ip -n p -j link | jq length; } || echo 1`,
    ],
  ])
  t.match(see('unfiltered'), /bridge "bru" does not filter VLANs/)
  t.equal(JSON.parse(see('still unfiltered'))[0].linkinfo.info_data.vlan_filtering, 0)
  t.match(see('no uplink'), /"code":7,"msg":"\\"uplinks\\": \\"up0\\" is no port of bridge \\"br0\\""/)
  t.equal(see('no uplink').split('\n').at(-1), '4', 'lo, two bridges and the veth of the container before')
  t.same(vlansOf(see('uplink')), [
    native(1),
    { vlan: 50, vlanEnd: 51 },
    { vlan: 52, flags: ['Egress Untagged'] },
    { vlan: 53 },
  ])
  t.match(JSON.parse(see('long')), {
    code: 7,
    msg: '"bridge": no interface can be called "br-of-12-byte.100"',
  })
  const [vlans, addresses] = see('half made')
    .split('\n')
    .map(text => JSON.parse(text))
  t.same(vlansOf(JSON.stringify(vlans)), [native(7)])
  t.match(addresses[0], { group: 'default', addr_info: [{ local: '10.1.2.1' }] })
  t.equal(see('half ping'), 'yes')
  t.equal(see('reference checked').split('\n').at(-1), '1')
  t.notMatch(see('reference checked'), /"code"/)
})
