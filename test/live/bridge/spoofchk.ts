import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods, layer2Conf, linksOf } from '../../fixtures/bridge'
import { anyFlavour, type Json } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

const conf = bridgeConf('v4', { macspoofchk: true, cniVersion: '1.1.0' })

const macOf = (result: Json): string => result.interfaces[2].mac

const rulesetOf = (host: PrivateHost) => host.run('nft', '-s', 'list', 'ruleset')

/** The table without a container, as `nft -s list ruleset` shows it: in a bridge "dstnat" is -300. */
const emptyTable = `table bridge nat {
	chain PREROUTING {
		type filter hook prerouting priority dstnat; policy accept;
	}
}
`

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] the chains are the reference's, and DEL leaves none, also twice`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const result = await a.add(conf)
    t.equal(
      await rulesetOf(host),
      `table bridge nat {
	chain PREROUTING {
		type filter hook prerouting priority dstnat; policy accept;
		iifname "${hostVethOf(result)}" jump cni-br-iface-c1-eth0 comment "macspoofchk-c1-eth0"
	}

	chain cni-br-iface-c1-eth0 {
		jump cni-br-iface-c1-eth0-mac comment "macspoofchk-c1-eth0"
	}

	chain cni-br-iface-c1-eth0-mac {
		ether saddr 0a:58:0a:01:02:02 return comment "macspoofchk-c1-eth0"
		drop comment "macspoofchk-c1-eth0"
	}
}
`,
    )
    t.equal(macOf(result), '0a:58:0a:01:02:02')
    const { nftables } = await host.json<Json>('nft', 'list', 'ruleset')
    t.equal(nftables.filter(({ rule }: Json) => rule?.comment === 'macspoofchk-c1-eth0').length, 4, 'nft -j')
    for (let i = 0; i < 2; i++) {
      t.equal((await a.call('DEL', { ...conf, prevResult: result })).stdout, '')
      t.equal(await rulesetOf(host), emptyTable)
    }
  })

  t.test(`[${flavour}] a frame under another MAC is dropped, the container's own pass`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, b, free] = [await pod('c1'), await pod('c2'), await pod('c3')]
    const result = await a.add(conf)
    await b.add(conf)
    const { macspoofchk: _, ...unchecked } = conf
    await free.add(unchecked)
    const become = (name: string, mac: string) =>
      host.run('ip', '-n', name, 'link', 'set', 'eth0', 'address', mac)
    t.ok(await a.pings('10.1.2.3'))
    await become('c1', '02:00:00:00:00:99')
    t.notOk(await a.pings('10.1.2.3'), 'under another MAC')
    await become('c1', macOf(result))
    t.ok(await a.pings('10.1.2.3'), 'under its own again')
    await become('c3', '02:00:00:00:00:98')
    t.ok(await free.pings('10.1.2.3'), 'without macspoofchk')
  })

  t.test(`[${flavour}] the MAC is the one asked for, and the one of the interface without IPAM`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, b] = [await pod('c1'), await pod('c2')]
    await a.add({ ...conf, runtimeConfig: { mac: '02:00:00:00:00:0A' } })
    const plain = await b.add(layer2Conf({ macspoofchk: true }))
    const allowed = (await rulesetOf(host)).match(/(?<=ether saddr )\S+/g)
    t.same(allowed, ['02:00:00:00:00:0a', macOf(plain)])
  })

  t.test(`[${flavour}] DEL removes the chains with no namespace, and with one that is gone`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    for (const gone of [true, false]) {
      const a = await pod(`c${gone}`)
      await a.add(conf)
      if (gone) await host.run('ip', 'netns', 'del', a.name)
      t.equal((await a.call('DEL', conf, gone ? {} : { netns: '' })).stdout, '')
      t.equal(await rulesetOf(host), emptyTable, `gone: ${gone}`)
    }
  })

  t.test(`[${flavour}] CHECK finds rules that are gone, and a MAC that is another`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const result = await a.add(conf)
    const check = async (prevResult: Json) => (await a.call('CHECK', { ...conf, prevResult })).json
    t.equal(await check(result), undefined)

    const mac = '02:00:00:00:00:99'
    await host.run('ip', '-n', 'c1', 'link', 'set', 'eth0', 'address', mac)
    const interfaces = result.interfaces.map((entry: Json) =>
      entry.name === 'eth0' ? { ...entry, mac } : entry,
    )
    const msg = `the MAC of "${hostVethOf(result)}" is not checked correctly`
    t.match(await check({ ...result, interfaces }), {
      code: 999,
      msg,
      details: `chain cni-br-iface-c1-eth0-mac does not let ${mac} pass`,
    })
    await host.run('ip', '-n', 'c1', 'link', 'set', 'eth0', 'address', macOf(result))
    await host.run('nft', 'flush', 'chain', 'bridge', 'nat', 'PREROUTING')
    t.match(await check(result), {
      code: 999,
      msg,
      details: `chain PREROUTING has no rule for "${hostVethOf(result)}"`,
    })
  })

  t.test(`[${flavour}] GC removes the chains of stale attachments, with the key or without it`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, b, c] = [await pod('c1'), await pod('c2'), await pod('c3')]
    await a.add(conf)
    const kept = await b.add(conf)
    await c.add({ ...conf, name: 'other', bridge: 'br1' })
    const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c2', ifname: 'eth0' }] }
    t.equal((await a.call('GC', { ...conf, ...valid, macspoofchk: false })).stdout, '')
    const left = (await rulesetOf(host)).match(/(?<=chain )\S+/g)
    const chains = (id: string) => [`cni-br-iface-${id}-eth0`, `cni-br-iface-${id}-eth0-mac`]
    t.same(left, ['PREROUTING', ...chains('c2'), ...chains('c3')])
    t.equal((await b.call('CHECK', { ...conf, prevResult: kept })).stdout, '')
    t.equal((await a.call('GC', { ...conf, 'cni.dev/valid-attachments': [] })).stdout, '')
    const other = (await rulesetOf(host)).match(/(?<=chain )\S+/g)
    t.same(other, ['PREROUTING', ...chains('c3')], 'another network keeps its own')
  })

  t.test(
    `[${flavour}] an ADD that fails leaves no chains, and one after a lost DEL replaces them`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const a = await pod('c1')
      await a.add(conf)
      await host.run('ip', 'netns', 'exec', 'c1', 'ip', 'link', 'del', 'eth0')
      const result = await a.add({
        ...conf,
        name: 'next',
        ipam: { ...conf.ipam, ranges: [[{ subnet: '10.7.0.0/24' }]] },
      })
      t.same((await rulesetOf(host)).match(/(?<=ether saddr )\S+/g), [macOf(result)])
      t.equal((await a.call('DEL', conf)).stdout, '')
      t.equal(await rulesetOf(host), emptyTable)

      const b = await pod('c2')
      const links = [...(await linksOf(host)).keys()]
      await host.sh(
        'mkdir -p /run/bad; printf "#!/bin/sh\\nexit 3\\n" > /run/bad/iptables-save; chmod +x /run/bad/*',
      )
      await host.sh('ln -s iptables-save /run/bad/iptables-restore')
      await host.sh(`ln -s ${process.execPath} /run/bad/node`)
      const failing = { ...conf, ipMasq: true, ipMasqBackend: 'iptables' }
      t.equal((await b.call('ADD', failing, { env: { PATH: '/run/bad' } })).code, 1)
      t.equal(await rulesetOf(host), emptyTable)
      t.same([...(await linksOf(host)).keys()], links)
    },
  )
}
