/** The rules by which containers are masqueraded, in either backend. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { hostWithPods } from '../../fixtures/bridge'
import { anyFlavour, type Json } from '../../fixtures/cni'
import { masquerading as conf, emptyTable, prepareTables, rulesOf } from '../../fixtures/masquerade'
import type { PrivateHost } from '../../fixtures/private-host'

/** The configuration, with each backend and with none named. */
const confs: Json[] = [conf, { ...conf, ipMasqBackend: 'iptables' }, { ...conf, ipMasqBackend: 'nftables' }]
const nft = { ...conf, ipMasqBackend: 'nftables' }

/** The first 16 hex digits of a text's SHA-512: what comments in nftables begin with. */
const hashed = (text: string) => createHash('sha512').update(text).digest('hex').slice(0, 16)

const hasNftRules = async (host: PrivateHost, id: string) =>
  (await host.run('nft', 'list', 'ruleset')).includes(`id: ${id}"`)

for (const flavour of anyFlavour) {
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
