/** `kubenet plugins`: what the plugin folders have, whose it is, and what the networks miss. */
import { existsSync } from 'node:fs'
import t from 'tap'
import { binDir, flavours, type Json, peerDir } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet plugins`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = `${binDir(flavour)}/kubenet`
    const run = (path: string, args: readonly string[] = []) =>
      host.exec([kubenet, 'plugins', ...args], {
        env: { PATH: '/usr/bin:/bin', CNI_PATH: path, NETCONFPATH: '/run/net.d' },
      })
    const byName = (text: string): Record<string, Json> =>
      Object.fromEntries((JSON.parse(text) as Json).plugins.map((found: Json) => [found.name, found]))

    await t.test('ours are known by what they say', async t => {
      const { code, stdout, stderr } = await run(binDir(flavour), ['--json'])
      t.same([code, stderr], [0, ''])
      const found = byName(stdout)
      t.match(found.bridge, {
        kind: flavour,
        cniVersions: /1.1.0/,
        failure: '',
        path: `${binDir(flavour)}/bridge`,
      })
      t.match(found.kubenet, { kind: flavour })
      t.same(JSON.parse(stdout).missing, [])
    })

    await t.test(
      'the reference’s are known too',
      { skip: !existsSync(peerDir) && 'no reference plugins' },
      async t => {
        const found = byName((await run(peerDir, ['--json'])).stdout)
        t.match(found.bridge, { kind: 'reference' })
        t.ok(Object.values(found).every(({ kind }) => kind === 'reference'))
      },
    )

    await t.test('other files in the folder do no harm', async t => {
      await host.sh(`
        mkdir -p /run/bin /run/bin/folder; cd /run/bin; echo text > readme
        printf '#!/bin/sh\nsleep 600\n' > hangs; printf '#!/bin/sh\necho hello\n' > greets; printf 'junk' > junk
        printf '#!/bin/sh\necho {\\"cniVersion\\":\\"0.4.0\\",\\"supportedVersions\\":[\\"0.3.1\\",\\"0.4.0\\"]}' > other
        chmod +x hangs greets junk other`)
      const { code, stdout } = await run('/run/bin', ['--json'])
      t.equal(code, 0)
      t.match(byName(stdout), {
        hangs: { kind: 'none', failure: /has not ended after 2 s/ },
        greets: { kind: 'none', failure: '"hello\\n"' },
        junk: { kind: 'none' },
        other: { kind: 'other', cniVersions: ['0.3.1', '0.4.0'] },
      })
      t.same(Object.keys(byName(stdout)).sort(), ['greets', 'hangs', 'junk', 'other'])
    })

    await t.test('a needed plugin that no folder has is missing, exit code 3', async t => {
      await host.sh(`
        mkdir -p /run/net.d
        printf '{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"other","ipam":{"type":"absent-ipam"}},{"type":"junk"}]}' \
          > /run/net.d/10-pods.conflist`)
      const { code, stdout, stderr } = await run('/run/bin')
      t.equal(code, 3)
      t.match(stdout, /^absent-ipam +missing +- +- +needed by pods$/m)
      t.match(stderr, /^kubenet: plugins: plugin "absent-ipam" is missing, needed by "pods"$/m)
      t.match(stderr, /plugin "junk" is missing/, 'what is no plugin does not count')
    })

    await t.test('an incomplete set of our plugins is reported', async t => {
      await host.sh(`mkdir /run/half; ln -s ${binDir(flavour)}/bridge ${binDir(flavour)}/loopback /run/half`)
      const { stderr } = await run('/run/half')
      t.match(
        stderr,
        /\/run\/half has only some of our plugins; missing: bandwidth, host-local, kubenet, portmap; "kubenet install --bin-dir \/run\/half" completes it/,
      )
    })

    await t.test('on a terminal there are colours, and none with NO_COLOR', async t => {
      const onTerminal = (env: string) =>
        host.sh(
          `COLUMNS=100 TERM=xterm ${env} CNI_PATH=${binDir(flavour)} NETCONFPATH=/run/none script -qec '${kubenet} plugins' /dev/null`,
        )
      t.match(await onTerminal('A=1'), '\u001b[1mNAME')
      t.notMatch(await onTerminal('NO_COLOR=1'), '\u001b')
    })
  })
}
