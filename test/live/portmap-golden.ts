/**
 * With iptables: the rules are those the Go portmap makes, in both variants, and either finds and removes the other's.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { flavours, type Json, peerDir } from '../fixtures/cni'
import { PortHost, type Stack, variants } from '../plugins/portmap/fixtures/port-host'

const hasPeer = existsSync(`${peerDir}/portmap`) ? {} : { skip: 'the Go plugins are not installed' }

const many = Array.from({ length: 31 }, (_, i) => `${1000 + i}:80/tcp`)

type Case = { name: string; mappings: (string | Json)[]; more?: Json; stack?: Stack; containerID?: string }

const cases: Case[] = [
  { name: 'one port', mappings: ['8080:80/tcp'], stack: 'v4' },
  { name: 'one port, IPv6', mappings: ['8080:80/tcp'], stack: 'v6' },
  { name: 'one port, both families', mappings: ['8080:80/tcp'] },
  { name: 'each protocol', mappings: ['8080:80/udp', '8081:81/tcp', '8080:80/sctp', '8082:82/tcp'] },
  { name: '31 ports', mappings: many },
  {
    name: '15 and 16 ports',
    mappings: [...many.slice(0, 15), ...many.slice(0, 16).map(m => m.replace('tcp', 'udp'))],
  },
  {
    name: 'containerd’s keys',
    mappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'TCP', HostIP: '' }],
  },
  { name: 'an address of the host', mappings: ['192.0.2.1@8080:80/tcp', '2001:db8::1@8080:80/udp'] },
  { name: '127.0.0.1', mappings: ['127.0.0.1@8080:80/tcp'] },
  {
    name: 'unspecified addresses',
    mappings: ['0.0.0.0@8080:80/tcp', ':::@8081:80/tcp'.replace(':::', '::')],
  },
  { name: 'a long address', mappings: ['2001:DB8:0:0:0:0:0:1@8080:80/tcp'] },
  { name: 'masqAll', mappings: ['8080:80/tcp', '192.0.2.1@81:81/udp'], more: { masqAll: true } },
  { name: 'snat false', mappings: ['8080:80/tcp'], more: { snat: false } },
  { name: 'a mark bit', mappings: ['8080:80/tcp'], more: { markMasqBit: 20 } },
  { name: 'a foreign chain', mappings: ['8080:80/tcp'], more: { externalSetMarkChain: 'KUBE-MARK-MASQ' } },
  {
    name: 'conditions',
    mappings: ['8080:80/tcp', '53:53/udp'],
    more: {
      conditionsV4: ['!', '-s', '10.0.0.0/8', '-m', 'comment', '--comment', 'a "b" \\ $(c); d'],
      conditionsV6: ['-s', '2001:db8::/32', '!', '-d', '2001:db8::7'],
    },
  },
  { name: 'a container ID of a person', mappings: ['8080:80/tcp'], containerID: 'default-cl-ctr1_x.y' },
]

for (const flavour of flavours) {
  for (const variant of variants) {
    // The rules come from the same code in both; starting Node.js for each of them takes its time.
    const some = flavour === 'node' ? cases.filter(({ more }) => more) : cases

    t.test(`[${flavour}, ${variant}] the same rules as the Go plugin’s`, hasPeer, async t => {
      const ours = await PortHost.create(t, { flavour })
      const theirs = await PortHost.create(t, { folder: peerDir })
      for (const side of [ours, theirs]) {
        side.variant = variant
        await side.host.sh(
          `for f in iptables ip6tables; do $f-${variant} -t nat -N KUBE-MARK-MASQ; ` +
            `$f-${variant} -t nat -A POSTROUTING -j ACCEPT; done`,
        )
      }
      for (const { name, mappings, more, stack = 'dual', containerID = 'c1' } of some) {
        await t.test(name, async t => {
          const before = [await ours.nat(), await theirs.nat()]
          t.equal(before[0], before[1])
          const shown: string[] = []
          for (const side of [ours, theirs]) {
            const pod = side.paperPod('c1', { stack, containerID })
            const conf = pod.conf(mappings, more)
            const added = await pod.must('ADD', conf)
            t.same(added.json, conf.prevResult)
            shown.push(await side.nat())
            await pod.must('ADD', conf)
            t.equal(await side.nat(), shown.at(-1), 'ADD again leaves the same rules')
            await pod.must('DEL', conf)
            shown.push(await side.nat())
          }
          t.equal(shown[0], shown[2], 'after ADD')
          t.not(shown[0], before[0])
          t.equal(shown[1], shown[3], 'after DEL')
        })
      }
    })

    t.test(`[${flavour}, ${variant}] one plugin’s ADD, the other’s CHECK, DEL and GC`, hasPeer, async t => {
      const host = await PortHost.create(t, { flavour })
      host.variant = variant
      const own = { path: host.folder }
      const peer = { path: peerDir }
      // What a container leaves for good: the shared chains.
      const first = host.paperPod('first')
      await first.must('ADD', first.conf(['1:1/tcp']))
      await first.must('DEL', first.conf(['1:1/tcp']))
      const empty = await host.nat()
      for (const { name, mappings, more, stack = 'dual' } of some) {
        if (more?.externalSetMarkChain || more?.markMasqBit) continue
        await t.test(name, async t => {
          const pod = host.paperPod('c1', { stack })
          const conf = pod.conf(mappings, more)
          await pod.must('ADD', conf, peer)
          t.match(await pod.call('CHECK', conf, own), { code: 0, stdout: '' }, 'their ADD, our CHECK')
          await pod.must('DEL', conf, own)
          t.equal(await host.nat(), empty, 'their ADD, our DEL')

          await pod.must('ADD', conf, peer)
          await pod.must('DEL', { ...conf, runtimeConfig: {}, prevResult: undefined }, own)
          t.equal(await host.nat(), empty, 'their ADD, our DEL without knowing the ports')

          await pod.must('ADD', conf, own)
          await pod.must('DEL', conf, peer)
          t.equal(await host.nat(), empty, 'our ADD, their DEL')
          t.match(await pod.call('CHECK', conf, own), { code: 1 }, 'our CHECK after it')
          await pod.must('DEL', conf, own)
          t.equal(await host.nat(), empty, 'our DEL after it')

          await pod.must('ADD', conf, peer)
          await pod.must('ADD', conf, own)
          await pod.must('DEL', conf, own)
          t.equal(await host.nat(), empty, 'their ADD, our ADD, our DEL')

          await pod.must('ADD', conf, own)
          await pod.must('ADD', conf, peer)
          await pod.must('DEL', conf, own)
          t.equal(await host.nat(), empty, 'our ADD, their ADD, our DEL')
        })
      }

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
