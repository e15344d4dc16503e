import { createHash } from 'node:crypto'
import t from 'tap'
import { bridgeConf, hostWithPods } from '../fixtures/bridge'
import { anyFlavour, type Json } from '../fixtures/cni'
import type { PrivateHost } from '../fixtures/private-host'
import { ask, type Endpoint, serve } from '../fixtures/traffic'

/** The neighbour's addresses. */
const outside = ['203.0.113.2', '2001:db8:1::2', '192.0.2.2', '2001:db8:2::2']

const endpoints = (hosts: readonly string[]): Endpoint[] =>
  hosts.map(host => ({ protocol: 'udp', host, port: 7777 }))

/** The address under which a server at `to` hears what a namespace sends. */
const heardAs = async (host: PrivateHost, netns: string, to: string): Promise<string | undefined> => {
  const [target] = endpoints([to])
  const { answer } = await ask(host, netns, target ? { answer: target } : {})
  return answer?.from ?? answer?.error
}

/** Puts a neighbour behind the host's uplink: it has an address there and one further off, and routes to the pods. */
const addOutside = async (host: PrivateHost): Promise<void> => {
  // Nothing is sent over an uplink whose link-local address is still being checked.
  await host.sh('sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0')
  await host.uplink('out', '203.0.113.1/24')
  await host.sh(`
    ip addr add 2001:db8:1::1/64 dev out nodad
    ip -n out addr add 203.0.113.2/24 dev eth0; ip -n out addr add 2001:db8:1::2/64 dev eth0 nodad
    ip -n out link set lo up; ip -n out addr add 192.0.2.2/32 dev lo; ip -n out addr add 2001:db8:2::2/128 dev lo
    ip -n out route add 10.1.2.0/24 via 203.0.113.1; ip -n out route add fd00:2::/64 via 2001:db8:1::1
    ip route add 192.0.2.0/24 via 203.0.113.2; ip route add 2001:db8:2::/64 via 2001:db8:1::2
  `)
}

/** The table of the nftables backend without a container, as `nft -s list ruleset` shows it. */
const emptyTable = `table inet cni_plugins_masquerade {
	comment "Masquerading for plugins from github.com/containernetworking/plugins"
	chain masq_checks {
		comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip daddr 224.0.0.0/4 return
		ip6 daddr ff00::/8 return
		goto masq_checks
	}
}`

/** The tables that masquerading is in, once there: iptables does not take its base chains away again. */
const prepareTables = (host: PrivateHost) =>
  host.sh(`
    for i in iptables ip6tables; do $i -t nat -N x; $i -t nat -A POSTROUTING -j x; $i -t nat -F; $i -t nat -X x; done
    nft -f - <<'end'
${emptyTable}
end
  `)

const rulesOf = async (host: PrivateHost) =>
  host.sh('for i in iptables ip6tables; do $i -t nat -S | grep CNI- || true; done')

const conf = bridgeConf('dual', { isDefaultGateway: true, ipMasq: true })

/** The configuration, with each backend and with none named. */
const confs: Json[] = [conf, { ...conf, ipMasqBackend: 'iptables' }, { ...conf, ipMasqBackend: 'nftables' }]
const nft = { ...conf, ipMasqBackend: 'nftables' }

/** The first 16 hex digits of a text's SHA-512: what comments in nftables begin with. */
const hashed = (text: string) => createHash('sha512').update(text).digest('hex').slice(0, 16)

const hasNftRules = async (host: PrivateHost, id: string) =>
  (await host.run('nft', 'list', 'ruleset')).includes(`id: ${id}"`)

for (const flavour of anyFlavour) {
  for (const backend of ['iptables', 'nftables'])
    t.test(`[${flavour}] ${backend}: what leaves the pods' subnet has the host's address`, async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await addOutside(host)
      await serve(t, host, 'out', endpoints(outside))
      const [a, b] = [await pod('c1'), await pod('c2')]
      const exempt = { nonMasqueradeCIDRs: ['192.0.2.0/24', '2001:db8:2::/64'] }
      await a.add({ ...conf, ...exempt, ipMasqBackend: backend })
      await b.add({ ...conf, ipMasqBackend: backend })
      const cases = [
        { from: 'c1', to: '203.0.113.2', as: '203.0.113.1' },
        { from: 'c1', to: '2001:db8:1::2', as: '2001:db8:1::1' },
        { from: 'c1', to: '192.0.2.2', as: '10.1.2.2', why: 'its nonMasqueradeCIDRs' },
        { from: 'c1', to: '2001:db8:2::2', as: 'fd00:2::2', why: 'its nonMasqueradeCIDRs' },
        { from: 'c2', to: '192.0.2.2', as: '203.0.113.1', why: 'those are of the other' },
        { from: 'c2', to: '2001:db8:2::2', as: '2001:db8:1::1', why: 'those are of the other' },
      ]
      for (const { from, to, as, why = '' } of cases)
        t.equal(await heardAs(host, from, to), as, `${from} to ${to} ${why}`)

      await serve(t, host, 'c2', endpoints(['10.1.2.3', 'fd00:2::3']))
      t.equal(await heardAs(host, 'c1', '10.1.2.3'), '10.1.2.2', 'between pods nothing is masqueraded')
      t.equal(await heardAs(host, 'c1', 'fd00:2::3'), 'fd00:2::2')
      for (const to of ['203.0.113.2', '2001:db8:1::2']) t.ok(await a.pings(to), `ping ${to}`)
    })

  t.test(`[${flavour}] without ipMasq packets keep their address`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await addOutside(host)
    await serve(t, host, 'out', endpoints(outside))
    await (await pod('c1')).add(bridgeConf('dual', { isDefaultGateway: true }))
    t.equal(await heardAs(host, 'c1', '203.0.113.2'), '10.1.2.2')
    t.equal(await heardAs(host, 'c1', '2001:db8:1::2'), 'fd00:2::2')
    t.equal(await rulesOf(host), '')
  })

  t.test(`[${flavour}] the rules are the reference's, and DEL leaves the ruleset as it was`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await prepareTables(host)
    const before = await host.run('nft', '-s', 'list', 'ruleset')
    const a = await pod('c1')
    await a.add({ ...conf, nonMasqueradeCIDRs: ['192.0.2.7/24', 'fd00:7::/32'] })
    const chain = `CNI-${createHash('sha512').update('netc1').digest('hex').slice(0, 24)}`
    const comment = String.raw`-m comment --comment "name: \"net\" id: \"c1\""`
    const family = (address: string, subnet: string, exempt: string, multicast: string) =>
      `-N ${chain}
-A POSTROUTING -s ${address} ${comment} -j ${chain}
-A ${chain} -d ${subnet} ${comment} -j ACCEPT
-A ${chain} -d ${exempt} ${comment} -j ACCEPT
-A ${chain} ! -d ${multicast} ${comment} -j MASQUERADE
`
    t.equal(
      await rulesOf(host),
      family('10.1.2.2/32', '10.1.2.0/24', '192.0.2.0/24', '224.0.0.0/4') +
        family('fd00:2::2/128', 'fd00:2::/64', 'fd00:7::/32', 'ff00::/8'),
    )
    t.equal((await a.call('DEL', conf)).code, 0)
    t.equal(await host.run('nft', '-s', 'list', 'ruleset'), before)
  })

  t.test(`[${flavour}] nftables: the rules are the reference's, and nothing is in iptables`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const exempt = { nonMasqueradeCIDRs: ['192.0.2.7/24', 'fd00:7::/32'] }
    const result = await a.add({ ...nft, ...exempt })
    const comment = `comment "${hashed('net')}-${hashed('eth0:c1')}, net: net, if: eth0, id: c1"`
    const rules = `
		ip saddr 10.1.2.2 ip daddr 192.0.2.0/24 return ${comment}
		ip saddr 10.1.2.2 ip daddr != 10.1.2.0/24 masquerade ${comment}
		ip6 saddr fd00:2::2 ip6 daddr fd00:7::/32 return ${comment}
		ip6 saddr fd00:2::2 ip6 daddr != fd00:2::/64 masquerade ${comment}`
    const full = emptyTable.replace('outside their subnet"', `outside their subnet"${rules}`)
    t.equal(await host.run('nft', '-s', 'list', 'ruleset'), `${full}\n`)
    const { nftables } = await host.json<Json>('nft', 'list', 'ruleset')
    t.equal(nftables.filter(({ rule }: Json) => rule?.comment).length, 4, 'nft -j reads them')

    const check = { ...nft, ...exempt, prevResult: result }
    t.equal((await a.call('CHECK', check)).stdout, '')
    await host.run('nft', 'flush', 'chain', 'inet', 'cni_plugins_masquerade', 'masq_checks')
    t.match((await a.call('CHECK', check)).json, {
      code: 999,
      msg: 'masquerade rules are missing',
      details: '4 of 4 rules for 10.1.2.2/24, fd00:2::2/64 in chain masq_checks',
    })
    t.equal((await a.call('DEL', { ...nft, prevResult: result })).stdout, '')
    t.equal(await host.run('nft', '-s', 'list', 'ruleset'), `${emptyTable}\n`)
  })

  t.test(`[${flavour}] DEL removes the rules with no namespace, and with one that is gone`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await prepareTables(host)
    const before = await host.run('nft', '-s', 'list', 'ruleset')
    const leases = () => host.sh('find /var/lib/cni -name "10.*" -o -name "fd*"')
    for (const withResult of [true, false]) {
      for (const gone of [true, false]) {
        const a = await pod(`c${withResult}${gone}`)
        const result = await a.add(withResult ? nft : conf)
        if (gone) await host.run('ip', 'netns', 'del', a.name)
        const prevResult = withResult ? { prevResult: result } : {}
        const options = gone ? {} : { netns: '' }
        // With the other backend's name: what an earlier configuration made goes too.
        const other = { ...conf, ipMasqBackend: withResult ? 'iptables' : 'nftables' }
        for (let i = 0; i < 2; i++)
          t.equal((await a.call('DEL', { ...other, ...prevResult }, options)).stdout, '')
        t.equal(await host.run('nft', '-s', 'list', 'ruleset'), before, JSON.stringify({ withResult, gone }))
        t.equal(await leases(), '')
        t.same(
          (await host.json('ip', 'link')).map(({ ifname }) => ifname),
          ['lo', 'br0'],
        )
      }
    }
  })

  t.test(`[${flavour}] a garbled prevResult keeps nothing from being cleaned`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await prepareTables(host)
    const before = await host.run('nft', '-s', 'list', 'ruleset')
    const prevResults = [
      {},
      { cniVersion: '9.9.9' },
      { cniVersion: '1.0.0', ips: [{ address: 'x' }] },
      'x',
      7,
      [],
    ]
    for (const [i, prevResult] of prevResults.entries()) {
      const a = await pod(`c${i}`)
      await a.add(conf)
      await host.run('ip', 'netns', 'del', a.name)
      const { code, stdout } = await a.call('DEL', { ...conf, prevResult })
      t.same([code, stdout], [0, ''], JSON.stringify(prevResult))
      t.equal(await host.run('nft', '-s', 'list', 'ruleset'), before)
    }
  })

  t.test(
    `[${flavour}] two interfaces of a container on one network are masqueraded each by itself`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await prepareTables(host)
      const before = await host.run('nft', '-s', 'list', 'ruleset')
      await addOutside(host)
      await serve(t, host, 'out', endpoints(outside))
      const a = await pod('c1')
      const second = { ...conf, isDefaultGateway: false, isGateway: true }
      const first = await a.add(second)
      const other = await a.add(conf, { ifName: 'eth1' })
      for (const [result, ifName] of [[first, 'eth0'] as const, [other, 'eth1'] as const]) {
        const { code, stdout } = await a.call('CHECK', { ...conf, prevResult: result }, { ifName })
        t.same([code, stdout], [0, ''], ifName)
      }
      t.equal((await a.call('DEL', second)).stdout, '')
      t.equal(await heardAs(host, 'c1', '203.0.113.2'), '203.0.113.1', 'with eth0 gone')
      // As containerd does: again, and without a namespace.
      for (const netns of [a.netns, '']) t.equal((await a.call('DEL', second, { netns })).code, 0)
      t.equal(await heardAs(host, 'c1', '203.0.113.2'), '203.0.113.1', 'after more DELs of eth0')
      t.equal(await heardAs(host, 'c1', '2001:db8:1::2'), '2001:db8:1::1')
      t.equal((await a.call('CHECK', { ...conf, prevResult: other }, { ifName: 'eth1' })).code, 0)
      t.equal((await a.call('DEL', conf, { ifName: 'eth1' })).code, 0)
      t.equal(await host.run('nft', '-s', 'list', 'ruleset'), before)
    },
  )

  t.test(`[${flavour}] rules a lost DEL left do not keep the container from coming back`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.add(conf)
    const rules = await rulesOf(host)
    await a.call('DEL', { ...conf, ipMasq: false })
    t.equal(await rulesOf(host), rules)
    await a.add({ ...conf, runtimeConfig: { ips: ['10.1.2.2', 'fd00:2::2'] } })
    t.equal(await rulesOf(host), rules)
  })

  t.test(`[${flavour}] nftables: rules a lost DEL left are replaced`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.add(nft)
    await a.call('DEL', { ...nft, ipMasq: false })
    t.ok(await hasNftRules(host, 'c1'))
    await a.add(nft)
    const rules = (await host.run('nft', 'list', 'ruleset')).match(/saddr \S+/g)
    t.same(rules, ['saddr 10.1.2.3', 'saddr fd00:2::3'])
  })

  t.test(`[${flavour}] an ADD that fails leaves no rules in either backend`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await prepareTables(host)
    // The last step but one fails.
    const key = '/proc/sys/net/ipv4/ip_forward'
    await host.sh(`echo 0 > ${key}; mount --bind ${key} ${key}; mount -o remount,bind,ro ${key}`)
    const before = await host.run('nft', '-s', 'list', 'ruleset')
    for (const backend of confs) {
      const a = await pod(`c${confs.indexOf(backend)}`)
      const { code, json } = await a.call('ADD', backend)
      t.equal(code, 1)
      t.match(json, { code: 999, msg: /ip_forward/ })
      t.equal(await host.run('nft', '-s', 'list', 'ruleset'), before)
    }
  })

  t.test(`[${flavour}] without a backend named it is nftables where iptables is not to be had`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(`
      mkdir /run/none /run/broken; ln -s ${process.execPath} /run/none/node; ln -s ${process.execPath} /run/broken/node
      printf '#!/bin/sh\\necho no such table >&2; exit 3\\n' > /run/broken/iptables-save
      chmod +x /run/broken/iptables-save
      for i in iptables-restore ip6tables-save ip6tables-restore; do ln -s iptables-save /run/broken/$i; done
    `)
    for (const folder of ['none', 'broken']) {
      const a = await pod(folder)
      const options = { env: { PATH: `/run/${folder}` } }
      const result = await a.add(conf, options)
      t.ok(await hasNftRules(host, folder), folder)
      t.equal((await a.call('CHECK', { ...conf, prevResult: result }, options)).stdout, '')
      t.equal((await a.call('DEL', { ...conf, prevResult: result }, options)).stdout, '')
      t.notOk(await hasNftRules(host, folder))
    }
  })

  t.test(`[${flavour}] GC removes the rules of stale attachments from both backends`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await prepareTables(host)
    const conf11 = { ...conf, cniVersion: '1.1.0' }
    const [a, b, c, d] = [await pod('c1'), await pod('c2'), await pod('c3'), await pod('c4')]
    await a.add(conf11)
    await b.add({ ...conf11, ipMasqBackend: 'nftables' })
    await c.add({ ...conf11, ipMasqBackend: 'nftables' })
    await d.add({ ...conf11, ipMasqBackend: 'nftables', name: 'other' })
    const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c3', ifname: 'eth0' }] }
    t.equal((await a.call('GC', { ...conf11, ...valid })).stdout, '')
    t.equal(await rulesOf(host), '')
    const left = await Promise.all(['c2', 'c3', 'c4'].map(id => hasNftRules(host, id)))
    t.same(left, [false, true, true])
  })

  t.test(`[${flavour}] a backend that is not there is refused before anything is made`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const unknown = await a.call('ADD', { ...conf, ipMasqBackend: 'ipfw' })
    t.match(unknown.json, { code: 7, msg: 'unknown ipmasq backend "ipfw"' })
    t.same(
      (await host.json('ip', 'link')).map(({ ifname }) => ifname),
      ['lo'],
    )
  })
}
