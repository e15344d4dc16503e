/** What kubenet makes for a pod, one behaviour after the other. */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { kubenetConf, Node, stacks } from '../../fixtures/kubenet'
import type { PrivateHost } from '../../fixtures/private-host'

const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
const atLeast = (version: string, other: string) => versions.indexOf(version) >= versions.indexOf(other)

const linksOf = async (host: PrivateHost): Promise<Map<string, Json>> =>
  new Map((await host.json<Json[]>('ip', '-d', 'addr', 'show')).map(link => [link.ifname, link]))

const addressesOf = (link: Json): string[] =>
  link.addr_info
    .filter(({ scope }: Json) => scope !== 'link')
    .map(({ local, prefixlen }: Json) => `${local}/${prefixlen}`)

for (const flavour of flavours) {
  t.test(`[${flavour}] a pod of both families`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await host.sh('sysctl -qw net.ipv4.ip_forward=0 net.bridge.bridge-nf-call-iptables=0')
    const before = await host.snapshot()
    const result = await node.add('web', kubenetConf())
    const links = await linksOf(host)
    const inside = new Map(
      (await host.json<Json[]>('ip', '-n', 'web', '-d', 'addr', 'show')).map(link => [link.ifname, link]),
    )

    await t.test('the bridge cbr0 is made, up and promiscuous, and has the gateways', async t => {
      const bridge = links.get('cbr0')
      t.equal(bridge.linkinfo.info_kind, 'bridge')
      t.ok(bridge.flags.includes('UP'))
      t.equal(bridge.promiscuity, 1)
      t.same(addressesOf(bridge), ['10.244.1.1/24', 'fd00:244:1::1/64'])
    })
    await t.test('lo of the pod is up', async t => {
      t.ok(inside.get('lo').flags.includes('UP'))
      t.same(
        addressesOf(inside.get('lo')),
        ['127.0.0.1/8', '::1/128'].filter((_, i) => i < addressesOf(inside.get('lo')).length),
      )
    })
    await t.test('a veth leads from the bridge into the pod', async t => {
      const veth = links.get(result.interfaces[1].name)
      t.match(veth, { master: 'cbr0', linkinfo: { info_kind: 'veth' }, ifalias: 'cni pods web eth0' })
      t.equal(veth.link_index, inside.get('eth0').ifindex)
      t.equal(inside.get('eth0').operstate, 'UP')
    })
    await t.test(
      'addresses come from the node’s ranges, and the default routes lead over the gateways',
      async t => {
        t.same(addressesOf(inside.get('eth0')), ['10.244.1.2/24', 'fd00:244:1::2/64'])
        const routes = await node.inPod('web', 'ip -j route show default; ip -j -6 route show default')
        t.same(
          routes
            .trim()
            .split('\n')
            .flatMap(line => JSON.parse(line).map((route: Json) => route.gateway)),
          ['10.244.1.1', 'fd00:244:1::1'],
        )
        t.same(await node.leases(), ['10.244.1.2', 'fd00:244:1::2'])
      },
    )
    await t.test('the result says so', async t => {
      const { interfaces, ...rest } = result
      t.same(rest, {
        cniVersion: '1.1.0',
        ips: [
          { interface: 2, address: '10.244.1.2/24', gateway: '10.244.1.1' },
          { interface: 2, address: 'fd00:244:1::2/64', gateway: 'fd00:244:1::1' },
        ],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
        dns: {},
      })
      t.same(
        interfaces.map(({ name, mac, mtu, sandbox }: Json) => [name, mac, mtu, sandbox]),
        [
          ['cbr0', links.get('cbr0').address, 1500, undefined],
          [interfaces[1].name, links.get(interfaces[1].name).address, 1500, undefined],
          ['eth0', inside.get('eth0').address, 1500, '/run/netns/web'],
        ],
      )
    })
    await t.test('the node forwards, and bridged traffic passes the packet filter', async t => {
      const keys = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']
      const bridge = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables']
      t.same((await host.run('sysctl', '-n', ...keys, ...bridge)).trim().split('\n'), ['1', '1', '1', '1'])
    })
    await t.test('a second ADD of the attachment fails and takes nothing from it', async t => {
      const was = await host.snapshot()
      const again = await node.call('ADD', 'web', kubenetConf())
      t.match(again, {
        code: 1,
        json: { code: 999, msg: /container veth name \("eth0"\) .* already exists/ },
      })
      t.equal(await host.snapshot(), was)
    })
    await t.test('CHECK is content, and GC keeps what is valid', async t => {
      const checked = await node.call('CHECK', 'web', kubenetConf({ prevResult: result }))
      t.same([checked.code, checked.stdout], [0, ''])
      const was = await host.snapshot()
      const valid = kubenetConf({ 'cni.dev/valid-attachments': [{ containerID: 'web', ifname: 'eth0' }] })
      t.same([(await node.call('GC', '', valid)).code, await host.snapshot()], [0, was])
      t.match(await node.call('GC', '', kubenetConf()), { code: 1, json: { code: 7 } })
    })
    await t.test('CHECK says what is not as it was', async t => {
      const veth = result.interfaces[1].name
      const broken: [string, string, RegExp][] = [
        ['ip -n web link set lo down', 'ip -n web link set lo up', /lo/],
        [`ip link set ${veth} nomaster`, `ip link set ${veth} master cbr0`, /is no port of it/],
        ['ip addr del 10.244.1.1/24 dev cbr0', 'ip addr add 10.244.1.1/24 dev cbr0', /lacks the gateway/],
        [
          'nft delete element inet kubenet pods4-pods "{ 10.244.1.2 }"',
          `nft add element inet kubenet pods4-pods '{ 10.244.1.2 comment "pods web eth0" }'`,
          /rules of the container are missing; 10.244.1.2 in pods4-pods; rebuild with: kubenet sync/,
        ],
        [
          'nft flush chain inet kubenet martians',
          `nft add rule inet kubenet martians 'iifname != "lo" ip daddr 127.0.0.0/8 drop'`,
          /are not in table "inet kubenet"/,
        ],
        ['nft flush chain bridge kubenet dedup-pods', '', /rules of "cbr0" against duplicate packets/],
      ]
      for (const [damage, repair, said] of broken) {
        await host.sh(damage)
        const { code, json } = await node.call('CHECK', 'web', kubenetConf({ prevResult: result }))
        t.equal(code, 1, damage)
        t.match(`${json?.msg}; ${json?.details}`, said)
        if (repair) await host.sh(repair)
      }
    })
    await t.test(
      'DEL leaves nothing but the bridge, and may be called again, without prevResult and namespace',
      async t => {
        await node.del('web', kubenetConf({ prevResult: result }))
        t.same([...(await linksOf(host)).keys()].sort(), ['cbr0', 'lo', 'up0'])
        t.equal(await host.sh('ls /var/lib/cni/networks/pods | grep -v -e lock -e last || true'), '')
        t.notMatch(await node.table(), /web/)
        await node.del('web', kubenetConf({ prevResult: result }))
        await node.del('web', kubenetConf(), { netns: '' })
        await node.del('never', kubenetConf(), { netns: '/run/netns/never' })
        await host.sh('ip link del cbr0; nft flush ruleset')
        t.equal(await host.snapshot(), before)
      },
    )
  })

  for (const lost of ['netns and prevResult', 'netns, prevResult and leases']) {
    t.test(`[${flavour}] DEL without ${lost} cleans all the same`, async t => {
      const node = await Node.create(t, flavour)
      const conf = kubenetConf({ runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] } })
      await node.add('keeper', kubenetConf())
      const before = await node.host.snapshot()
      await node.add('web', conf)
      if (lost.includes('leases'))
        await node.host.sh('rm /var/lib/cni/networks/pods/*.3 /var/lib/cni/networks/pods/*:3')
      await node.del('web', kubenetConf(), { netns: '' })
      t.equal(await node.host.snapshot(), before)
      t.equal(await node.host.sh('ls /run/kubenet-cni/hostports/owners'), '')
    })
  }

  t.test(`[${flavour}] GC removes what no valid attachment has`, async t => {
    const node = await Node.create(t, flavour)
    const bandwidth = {
      ingressRate: 8_000_000,
      ingressBurst: 800_000,
      egressRate: 8_000_000,
      egressBurst: 800_000,
    }
    const busy = (hostPort: number) =>
      kubenetConf({
        runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'udp' }], bandwidth },
      })
    await node.add('keeper', busy(8080))
    const before = await node.host.snapshot()
    await node.add('lost', busy(8081))
    await node.add('gone', busy(8082))
    await node.host.run('ip', 'netns', 'del', 'gone')
    const gc = kubenetConf({ 'cni.dev/valid-attachments': [{ containerID: 'keeper', ifname: 'eth0' }] })
    for (const time of ['first', 'second']) {
      const { code, stdout } = await node.call('GC', '', gc)
      t.same([code, stdout, await node.host.snapshot()], [0, '', before], `the ${time} time`)
    }
    t.equal((await node.host.sh('ls /run/kubenet-cni/hostports/claims')).trim(), 'udp-8080')
  })

  t.test(`[${flavour}] STATUS answers 50 with the reason`, async t => {
    const node = await Node.create(t, flavour)
    const small = kubenetConf({ podCIDRs: ['10.244.1.0/30'] })
    t.same([(await node.call('STATUS', '', small)).stdout], [''])
    await node.add('only', small)
    t.match((await node.call('STATUS', '', small)).json, { code: 50, msg: /10\.244\.1\.0\/30|no free|range/ })
    await node.del('only', small)
    await node.host.sh('ip link del cbr0; ip link add cbr0 type veth peer name other')
    t.match((await node.call('STATUS', '', small)).json, {
      code: 50,
      msg: /"cbr0" already exists but is not a bridge/,
    })
  })

  for (const version of flavour === 'node' ? ['0.2.0'] : versions) {
    t.test(`[${flavour}] [${version}] ADD, CHECK and DEL`, async t => {
      const node = await Node.create(t, flavour)
      const bandwidth = {
        ingressRate: 8_000_000,
        ingressBurst: 800_000,
        egressRate: 8_000_000,
        egressBurst: 800_000,
      }
      const conf = kubenetConf({
        cniVersion: version,
        runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }], bandwidth },
      })
      await node.add('keeper', kubenetConf())
      const before = await node.host.snapshot()
      const result = await node.add('web', conf)
      t.equal(result.cniVersion, version)
      if (!atLeast(version, '0.3.0')) {
        t.match(result, {
          ip4: { ip: '10.244.1.3/24' },
          ip6: { ip: 'fd00:244:1::3/64' },
          interfaces: undefined,
        })
      } else {
        t.equal(result.interfaces.length, 4, 'bridge, veth, container, ifb')
        t.equal(result.ips[0].version, atLeast(version, '1.0.0') ? undefined : '4')
      }
      t.match(await node.table(), /tcp \. 8080 comment "pods web eth0" : 10\.244\.1\.3 \. 80/)
      const { code, json } = await node.call('CHECK', 'web', { ...conf, prevResult: result })
      if (atLeast(version, '0.4.0')) t.equal(code, 0, JSON.stringify(json))
      else t.equal(json.code, 1)
      await node.del('web', { ...conf, ...(atLeast(version, '0.4.0') && { prevResult: result }) })
      t.equal(await node.host.snapshot(), before)
    })
  }

  t.test(`[${flavour}] one family`, async t => {
    for (const [stack, { podCIDRs, gateways, pods }] of Object.entries(stacks)) {
      const node = await Node.create(t, flavour)
      const [podCIDR] = podCIDRs
      const { ips, routes } = await node.add('web', kubenetConf({ podCIDRs: undefined, podCIDR }))
      const prefix = podCIDR.split('/')[1]
      t.same(ips, [{ interface: 2, address: `${pods[0]}/${prefix}`, gateway: gateways[0] }], stack)
      t.equal(routes.length, 1)
      await node.add('other', kubenetConf({ podCIDRs: undefined, podCIDR }))
      await node.inPod('other', `ping -nq -c1 -W2 ${pods[0]}; ping -nq -c1 -W2 ${gateways[0]}`)
    }
  })
}
