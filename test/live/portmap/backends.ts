/**
 * A node changes its packet filter while containers live: what one backend or variant of iptables made, DEL and GC
 * under another remove. And what each must itself.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { anyFlavour, type Json } from '../../fixtures/cni'
import { ask, type Endpoint, serve } from '../../fixtures/traffic'
import { PortHost, type PortPod, type Variant, variants } from '../../plugins/portmap/fixtures/port-host'

type Filter = { name: string; backend: 'iptables' | 'nftables'; variant: Variant }

const filters: readonly Filter[] = [
  { name: 'iptables-nft', backend: 'iptables', variant: 'nft' },
  { name: 'iptables-legacy', backend: 'iptables', variant: 'legacy' },
  { name: 'nftables', backend: 'nftables', variant: 'nft' },
]

const ports = ['8080:80/tcp', '53:53/udp', '192.0.2.1@8081:80/tcp']

/** A verb of a container under one of the filters. */
const under = (host: PortHost, { backend, variant }: Filter, pod: PortPod, more: Json = {}) => {
  host.variant = variant
  return (command: string) => pod.must(command, pod.conf(ports, { backend, ...more }))
}

const pairs = filters.flatMap(added =>
  filters.filter(({ name }) => name !== added.name).map(deleted => ({ added, deleted })),
)

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] a filter that is another at DEL than at ADD`, async t => {
    const host = await PortHost.create(t, { flavour })
    const pod = host.paperPod('c1')
    // What a container leaves for good: the shared chains.
    for (const filter of filters)
      for (const command of ['ADD', 'DEL']) await under(host, filter, pod)(command)
    const empty = await host.state()

    for (const { added, deleted } of pairs) {
      await t.test(`ADD under ${added.name}, DEL under ${deleted.name}`, async t => {
        await under(host, added, pod)('ADD')
        await under(host, deleted, pod)('DEL')
        await under(host, added, pod)('ADD')
        // DEL finds them without their record too.
        await host.host.sh('rm -r /run/kubenet-cni/hostports')
        await under(host, deleted, pod)('DEL')
        t.equal(await host.state(), empty)
      })
    }

    await t.test('GC under any of them takes what all of them made', async t => {
      const kept = host.paperPod('kept')
      await kept.must('ADD', kept.conf(['90:80/tcp'], { backend: 'nftables' }))
      const before = await host.state()
      for (const filter of filters) {
        const gone = filters.map(({ name }) => host.paperPod(`gone-${name}`))
        for (const [i, made] of filters.entries()) {
          host.variant = made.variant
          await gone[i]?.must('ADD', gone[i]?.conf([`${9000 + i}:80/udp`], { backend: made.backend }))
        }
        t.not(await host.state(), before)
        host.variant = filter.variant
        await kept.must('GC', {
          cniVersion: '1.1.0',
          name: 'net',
          type: 'portmap',
          backend: filter.backend,
          'cni.dev/valid-attachments': [{ containerID: 'kept', ifname: 'eth0' }],
        })
        t.equal(await host.state(), before, filter.name)
      }
      await kept.must('CHECK', kept.conf(['90:80/tcp'], { backend: 'nftables' }))
    })
  })
}

const [flavour = 'standalone'] = anyFlavour

t.test('a second mark bit is there after one ADD, in both families', async t => {
  const host = await PortHost.create(t, { flavour })
  for (const variant of variants) {
    host.variant = variant
    const [first, second] = [host.paperPod(`first-${variant}`), host.paperPod(`second-${variant}`)]
    await first.must('ADD', first.conf(['8080:80/tcp'], { backend: 'iptables' }))
    await second.must('ADD', second.conf(['8081:80/tcp'], { backend: 'iptables', markMasqBit: 20 }))
    const marks = [...(await host.nat()).matchAll(/MASQ -m mark --mark (\S+)/g)].map(([, mark]) => mark)
    const both = ['0x2000/0x2000', '0x100000/0x100000']
    t.same(marks, [...both, ...both], variant)
    for (const pod of [first, second]) await pod.must('DEL', pod.conf([], { backend: 'iptables' }))
  }
})

t.test('CHECK sees a rule that is for another port, in both families and variants', async t => {
  const host = await PortHost.create(t, { flavour })
  const pod = host.paperPod('c1')
  const conf = pod.conf(['8080:80/tcp', '8081:80/tcp'], { backend: 'iptables' })
  const conditional = { ...conf, conditionsV4: ['-s', '10.0.0.0/8'], conditionsV6: ['!', '-s', 'fd00::/8'] }
  for (const variant of variants) {
    host.variant = variant
    for (const [family, program] of [
      [4, 'iptables'],
      [6, 'ip6tables'],
    ] as const) {
      const change = (expression: string) =>
        host.host.sh(`
          ${program}-${variant}-save -t nat > /run/nat
          sed '${expression}' /run/nat | ${program}-${variant}-restore
        `)
      await pod.must('ADD', conf)
      await pod.must('CHECK', conf)
      await change('s/--dport 8081 -j DNAT/--dport 8082 -j DNAT/')
      const { code, json } = await pod.call('CHECK', conf)
      t.equal(code, 1)
      const missing = `a port mapping's rule is missing in the IPv${family} table nat: CNI-DN-`
      t.match(json, { code: 999, msg: missing }, `${program}-${variant}`)
      t.match(json.msg, /-p tcp -m tcp --dport 8081 -j DNAT --to-destination/)

      await pod.must('ADD', conditional)
      await pod.must('CHECK', conditional)
      await change('s/--dports 8080,8081/--dports 8080,8082/')
      t.match((await pod.call('CHECK', conditional)).json, { code: 999, msg: /table nat: CNI-HOSTPORT-DNAT/ })
      await pod.must('DEL', conf)
    }
  }
})

t.test('the reference’s nftables rules pass CHECK, and DEL and ADD replace them', async t => {
  const host = await PortHost.create(t, { flavour })
  const pod = host.paperPod('c0ffee')
  const golden = readFileSync(join(__dirname, '../../fixtures/golden/nft/hostport.nft'), 'utf8')
  const theirs = golden.replaceAll('10.0.0.2', '10.22.0.2').replaceAll('2001:db8::2', 'fd00:22::2')
  const conf = pod.conf(['8080:80/tcp', '192.168.0.2@5353:53/udp', '2001:db8::1@8081:80/tcp'], {
    backend: 'nftables',
  })
  const load = async () => {
    const { code, stderr } = await host.host.exec(['nft', '-f', '-'], { stdin: theirs })
    t.equal(code, 0, stderr)
  }
  const rules = async () => (await host.host.run('nft', 'list', 'ruleset')).match(/.*"c0ffee"/g) ?? []
  await load()
  t.equal((await rules()).length, 7)
  await pod.must('CHECK', conf)
  await pod.must('DEL', conf)
  t.same(await rules(), [])
  await host.host.run('nft', 'flush', 'ruleset')
  await load()
  await pod.must('DEL', { ...conf, backend: 'iptables', runtimeConfig: {}, prevResult: undefined })
  t.same(await rules(), [], 'also with another backend, and told nothing')
  await pod.must('ADD', conf)
  await pod.must('CHECK', conf)
  await pod.must('DEL', conf)
  t.same(await rules(), [], 'ours beside their chains')
})

t.test('masqAll: every client of a host port is masqueraded, and no other packet', async t => {
  const host = await PortHost.create(t, { flavour })
  await host.outside()
  const web = await host.pod('web')
  await host.host.sh(`
    ip -n outside route add 10.22.0.0/24 via 192.0.2.1
    ip -n outside route add fd00:22::/64 via 2001:db8::1
  `)
  const on = (address: string, port: number): Endpoint => ({ protocol: 'tcp', host: address, port })
  await serve(t, host.host, 'web', [on('10.22.0.2', 80), on('fd00:22::2', 80)])
  const targets = {
    'a port': on('192.0.2.1', 8080),
    'a port, IPv6': on('2001:db8::1', 8080),
    'the container': on('10.22.0.2', 80),
    'the container, IPv6': on('fd00:22::2', 80),
  }
  for (const filter of filters) {
    const call = under(host, filter, web, { masqAll: true })
    await call('ADD')
    await call('CHECK')
    t.match(
      await ask(host.host, 'outside', targets),
      {
        'a port': { from: '10.22.0.1', on: '10.22.0.2:80' },
        'a port, IPv6': { from: 'fd00:22::1', on: 'fd00:22::2:80' },
        'the container': { from: '192.0.2.9', on: '10.22.0.2:80' },
        'the container, IPv6': { from: '2001:db8::9', on: 'fd00:22::2:80' },
      },
      filter.name,
    )
    await call('DEL')
  }
})
