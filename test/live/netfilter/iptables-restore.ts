/**
 * iptables-restore gets its rules by a pipe, which SELinux lets it read, and does not count as having applied rules that
 * it has not read.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { bridgeConf, hostWithPods } from '../../fixtures/bridge'
import { anyFlavour, flavours, type Json } from '../../fixtures/cni'
import { runKubenet } from '../../fixtures/command-line'
import type { PrivateHost } from '../../fixtures/private-host'
import { PortHost } from '../../plugins/portmap/fixtures/port-host'

const conf = bridgeConf('dual', { isGateway: true, ipMasq: true, ipMasqBackend: 'iptables' })
const hasStrace = existsSync('/usr/bin/strace') ? {} : { skip: 'needs /usr/bin/strace' }

const programs = ['iptables-restore', 'ip6tables-restore']

/** A PATH that begins with a folder where iptables-restore is a script: `body`, in which "$real" is the program itself. */
const pathWith = async (host: PrivateHost, body: string): Promise<{ PATH: string }> => {
  const script = (name: string) => `#!/bin/sh\nreal=/usr/sbin/${name}\n${body}\n`
  await host.sh('rm -rf /run/wrapped; mkdir /run/wrapped')
  for (const name of programs) {
    await host.exec(['sh', '-c', `cat > /run/wrapped/${name}; chmod +x /run/wrapped/${name}`], {
      stdin: script(name),
    })
  }
  return { PATH: `/run/wrapped:/usr/sbin:/usr/bin:/sbin:/bin` }
}

/** What SELinux and a memfd made of it: the program succeeds, and has read nothing. */
const blind = 'exec "$real" "$@" < /dev/null'

/** Notes what the streams of the program are. */
const noting =
  's=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo "$s" >> /run/streams; exec "$real" "$@"'

const unread = /^\/run\/wrapped\/iptables-restore succeeded without reading all of its rules$/

for (const flavour of flavours) {
  t.test(`[${flavour}] a program that reads nothing of its rules`, async t => {
    await t.test('bridge: ADD fails and leaves nothing; DEL fails while the rules are there', async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await host.sh('for i in iptables ip6tables; do $i -t nat -N x; $i -t nat -X x; done')
      const before = await host.snapshot()
      const a = await pod('c1')
      const env = await pathWith(host, blind)
      const { json } = await a.call('ADD', conf, { env })
      t.equal(json.code, 999)
      t.match(json.msg, unread)
      t.match(json.details, /SELinux/)
      await host.sh('ip link del br0 2> /dev/null || true')
      t.equal((await host.snapshot()).replaceAll(/^br0.*\n/gm, ''), before)

      const added = await a.add(conf)
      const deleted = await a.call('DEL', { ...conf, prevResult: added }, { env })
      t.match([deleted.json.code, deleted.json.msg], [999, unread])
      t.match(await host.run('iptables-save', '-t', 'nat'), /id: \\"c1\\"/)
      t.equal((await a.call('DEL', { ...conf, prevResult: added })).stdout, '')
      t.notMatch(await host.run('iptables-save', '-t', 'nat'), /c1/)
    })

    await t.test('portmap: ADD fails', async t => {
      const host = await PortHost.create(t, { flavour })
      const a = await host.pod('a')
      const env = await pathWith(host.host, blind)
      const { json } = await a.call('ADD', a.conf(['8080:80/tcp'], { backend: 'iptables' }), { env })
      t.match([json.code, json.msg], [999, unread])
    })
  })

  t.test(`[${flavour}] the program's input is a pipe`, hasStrace, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const env = await pathWith(host, noting)
    await a.add(conf, { env })
    const streams = (await host.run('cat', '/run/streams')).trimEnd().split('\n')
    t.equal(streams.length, 6)
    t.same(
      streams.filter(stream => !stream.startsWith('pipe:')),
      [],
    )
  })

  t.test(`[${flavour}] more rules than a pipe holds`, async t => {
    const host = await PortHost.create(t, { flavour })
    const a = await host.pod('a')
    const mappings = Array.from({ length: 600 }, (_, index) => `${20_000 + index}:${index + 1}/tcp`)
    const rules = async () =>
      Number(await host.host.sh('iptables-save -t nat | grep -c -- "-j DNAT" || true'))
    const open = a.conf(mappings, { backend: 'iptables' })

    await t.test('from a program that first says more than a pipe holds', async t => {
      const env = await pathWith(
        host.host,
        'head -c 200000 /dev/zero | tr "\\0" x; echo; head -c 200000 /dev/zero | tr "\\0" x >&2; exec "$real" "$@"',
      )
      // A line of its own is what tells that all was read.
      const { code, stdout } = await a.call('ADD', open, { env })
      t.equal(code, 0, stdout.slice(0, 300))
      t.equal(await rules(), 600)
      await a.must('DEL', open)
      t.equal(await rules(), 0)
    })

    await t.test('from one that ends without reading them', async t => {
      const env = await pathWith(host.host, 'echo "no luck" >&2; exit 3')
      const { json } = await a.call('ADD', open, { env })
      t.match(json, { code: 999, details: /no luck/ })
      t.equal(await rules(), 0)
    })
  })
}

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] the command line does the same`, hasStrace, async t => {
    const { host } = await hostWithPods(t, flavour)
    const { cniVersion, name, ...plugin }: Json = conf
    const list = JSON.stringify({ cniVersion, name, plugins: [plugin] })
    await host.exec(['sh', '-c', 'mkdir -p /run/net.d; cat > /run/net.d/10-net.conflist'], { stdin: list })
    const netns = await host.netns('c1')
    const added = await runKubenet(host, flavour, ['add', 'net', netns])
    t.equal(added.code, 0, added.stderr)
    const flush = () =>
      host.sh('iptables -t nat -F; iptables -t nat -X; ip6tables -t nat -F; ip6tables -t nat -X')
    const rules = async () => Number(await host.sh('iptables-save -t nat | grep -c MASQUERADE || true'))

    await flush()
    const env = await pathWith(host, noting)
    const synced = await runKubenet(host, flavour, ['sync'], { env })
    t.equal(synced.code, 0, synced.stderr + synced.stdout)
    t.equal(await rules(), 1)
    const streams = (await host.run('cat', '/run/streams')).trimEnd().split('\n')
    t.same(
      streams.filter(stream => !stream.startsWith('pipe:')),
      [],
    )

    await flush()
    const missed = await runKubenet(host, flavour, ['sync'], { env: await pathWith(host, blind) })
    t.not(missed.code, 0)
    t.match(missed.stdout + missed.stderr, /without reading all of its rules/)
  })
}
