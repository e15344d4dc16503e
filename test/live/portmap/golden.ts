/**
 * With iptables: the rules are those the Go portmap makes, in both variants, and either finds and removes the other's.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { anyFlavour, type Json, peerDir } from '../../fixtures/cni'
import { PortHost, type Stack, type Variant, variants } from '../../plugins/portmap/fixtures/port-host'

const hasPeer = existsSync(`${peerDir}/portmap`) ? {} : { skip: 'the Go plugins are not installed' }

const many = (first: number, count: number, protocol = 'tcp') =>
  Array.from({ length: count }, (_, i) => `${first + i}:80/${protocol}`)

type Case = { name: string; mappings: (string | Json)[]; more?: Json; stack?: Stack; containerID?: string }

/** Each has ports of its own, so that all of them are there at the same time. */
const cases: Case[] = [
  { name: 'one port', mappings: ['8080:80/tcp'], stack: 'v4' },
  { name: 'one port, IPv6', mappings: ['8180:80/tcp'], stack: 'v6' },
  { name: 'one port, both families', mappings: ['8280:80/tcp'] },
  { name: 'each protocol', mappings: ['8380:80/udp', '8381:81/tcp', '8380:80/sctp', '8382:82/tcp'] },
  { name: '15 and 16 ports', mappings: [...many(2000, 15), ...many(2000, 16, 'udp')] },
  {
    name: 'containerd’s keys',
    mappings: [{ HostPort: 8480, ContainerPort: 80, Protocol: 'TCP', HostIP: '' }],
  },
  { name: 'an address of the host', mappings: ['192.0.2.1@8580:80/tcp', '2001:db8::1@8580:80/udp'] },
  { name: '127.0.0.1', mappings: ['127.0.0.1@8680:80/tcp'] },
  { name: 'unspecified addresses', mappings: ['0.0.0.0@8780:80/tcp', '::@8781:80/tcp'] },
  { name: 'a long address', mappings: ['2001:DB8:0:0:0:0:0:1@8880:80/tcp'] },
  { name: 'snat false', mappings: ['9080:80/tcp'], more: { snat: false } },
  { name: 'a foreign chain', mappings: ['9180:80/tcp'], more: { externalSetMarkChain: 'KUBE-MARK-MASQ' } },
  {
    name: 'conditions',
    mappings: ['9280:80/tcp', '9253:53/udp'],
    more: {
      conditionsV4: ['!', '-s', '10.0.0.0/8', '-m', 'comment', '--comment', 'a "b" \\ $(c); d'],
      conditionsV6: ['-s', '2001:db8::/32', '!', '-d', '2001:db8::7'],
    },
  },
  { name: 'a container ID of a person', mappings: ['9380:80/tcp'], containerID: 'default-cl-ctr1_x.y' },
  // Last: its mark joins those in the shared chains.
  { name: 'a mark bit', mappings: ['9480:80/tcp'], more: { markMasqBit: 20 } },
]

// The rules come from the same code for both variants, and each call takes its time. The Go plugin asks
// ip6tables-legacy with -C before each rule, which takes another port or mark for the same (1.8.9).
const few = ['one port, both families', 'conditions', 'a foreign chain']
const someOf = (variant: Variant): Case[] =>
  variant === 'nft' ? cases : cases.filter(({ name }) => few.includes(name))

/** What stays when no container has a port: the shared chains. */
const withoutContainers = (nat: string): string =>
  nat
    .split('\n')
    .filter(line => !line.includes('CNI-DN-'))
    .join('\n')

for (const flavour of anyFlavour) {
  for (const variant of variants) {
    const some = someOf(variant)

    t.test(`[${flavour}, ${variant}] the same rules as the Go plugin’s`, hasPeer, async t => {
      const sides = await Promise.all([
        PortHost.create(t, { flavour }),
        PortHost.create(t, { folder: peerDir }),
      ])
      const [ours, theirs] = await Promise.all(
        sides.map(async side => {
          side.variant = variant
          await side.host.sh(
            `for f in iptables ip6tables; do $f-${variant} -t nat -N KUBE-MARK-MASQ; ` +
              `$f-${variant} -t nat -A POSTROUTING -j ACCEPT; done`,
          )
          const pods = some.map(({ mappings, more, stack = 'dual', containerID }, i) => {
            const pod = side.paperPod(`c${i}`, { stack, ...(containerID && { containerID }) })
            return { pod, conf: pod.conf(mappings, more) }
          })
          for (const { pod, conf } of pods) t.same((await pod.must('ADD', conf)).json, conf.prevResult)
          return { side, pods, shown: await side.nat() }
        }),
      )
      if (!ours || !theirs) throw new Error('two sides')
      t.equal(ours.shown, theirs.shown, 'after ADD')
      for (const { pod } of ours.pods) t.match(ours.shown, `id: \\"${pod.containerID}\\"`)
      for (const { pod, conf } of ours.pods.slice(0, 4)) await pod.must('ADD', conf)
      const again = (await ours.side.nat()).split('\n').sort()
      t.same(again, ours.shown.split('\n').sort(), 'ADD again leaves the same rules')
      for (const { pod, conf } of ours.pods) await pod.must('DEL', conf)
      t.equal(await ours.side.nat(), withoutContainers(ours.shown), 'after DEL')
    })

    t.test(`[${flavour}, ${variant}] one plugin’s ADD, the other’s CHECK, DEL and GC`, hasPeer, async t => {
      const host = await PortHost.create(t, { flavour })
      host.variant = variant
      const own = { path: host.folder }
      const peer = { path: peerDir }
      const taken = ['conditions', ...(variant === 'nft' ? ['each protocol'] : [])]
      const pods = cases
        .filter(({ name }) => taken.includes(name))
        .map(({ mappings, more, stack = 'dual' }, i) => {
          const pod = host.paperPod(`c${i}`, { stack })
          return { pod, conf: pod.conf(mappings, more) }
        })
      /** The same call for all of them. */
      const all = async (command: string, by: typeof own, more: Json = {}) => {
        for (const { pod, conf } of pods) await pod.must(command, { ...conf, ...more }, by)
      }
      // What a container leaves for good: the shared chains.
      await all('ADD', own)
      await all('DEL', own)
      const empty = await host.nat()

      await all('ADD', peer)
      await all('CHECK', own)
      await all('DEL', own)
      t.equal(await host.nat(), empty, 'their ADD, our CHECK, our DEL')

      await all('ADD', peer)
      await all('DEL', own, { runtimeConfig: {}, prevResult: undefined })
      t.equal(await host.nat(), empty, 'their ADD, our DEL without knowing the ports')

      await all('ADD', own)
      await all('DEL', peer)
      t.equal(await host.nat(), empty, 'our ADD, their DEL')
      for (const { pod, conf } of pods)
        t.match(await pod.call('CHECK', conf, own), { code: 1 }, 'our CHECK after it')
      await all('DEL', own)
      t.equal(await host.nat(), empty, 'our DEL after it')

      await all('ADD', peer)
      await all('ADD', own)
      await all('DEL', own)
      t.equal(await host.nat(), empty, 'their ADD, our ADD, our DEL')

      await all('ADD', own)
      await all('ADD', peer)
      await all('DEL', own)
      t.equal(await host.nat(), empty, 'our ADD, their ADD, our DEL')

      await t.test('GC removes what the Go plugin left, and keeps what is valid', async t => {
        const [kept, gone, other] = [
          host.paperPod('kept'),
          host.paperPod('gone', { containerID: 'g'.repeat(200) }),
          host.paperPod('other', { network: 'second' }),
        ]
        for (const [i, pod] of [kept, other].entries())
          await pod.must('ADD', pod.conf([`${90 + i}:80/tcp`]), peer)
        const before = await host.nat()
        await gone.must('ADD', gone.conf(['80:80/tcp', '53:53/udp']), peer)
        const gc = (valid: unknown) => ({
          cniVersion: '1.1.0',
          name: 'net',
          type: 'portmap',
          'cni.dev/valid-attachments': valid,
        })
        await gone.must('GC', gc([{ containerID: 'kept', ifname: 'eth0' }]))
        t.equal(await host.nat(), before)
      })
    })
  }
}
