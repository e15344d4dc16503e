/**
 * A container calls its interfaces what it likes, and pods, programs and files of a node may have names that a terminal
 * obeys. People are shown them as text, in every output.
 */
import t from 'tap'
import { anyFlavour, binDir, type Json } from '../../fixtures/cni'
import {
  capabilities,
  confDir,
  configureNetworks,
  connectHost,
  jsonOf,
  runKubenet,
} from '../../fixtures/command-line'
import { type Output, PrivateHost } from '../../fixtures/private-host'

/** Red, a bell, and what follows from right to left. */
const evil = 'a\u001b[31m\u0007\u202e'
const shown = 'a\\u001b[31m\\u0007\\u202e'

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
const raw = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] names that a terminal would obey`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = (args: readonly string[], env: Record<string, string> = {}): Promise<Output> =>
      runKubenet(host, flavour, args, { env })
    await connectHost(host)
    await configureNetworks(host, flavour)
    await host.sh(
      `sed -i 's|"type": "kubenet",|"type": "kubenet", "logFile": "/run/calls.log", "logLevel": "debug",|' ${confDir}/10-kubenet.conflist`,
    )
    for (const name of ['web', 'gone']) {
      await host.netns(name)
      const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}${evil}`
      const { code, stderr } = await kubenet(
        ['add', 'kubenet', `/run/netns/${name}`, '--container-id', name],
        { ...capabilities(name === 'web' ? 8080 : 8081), CNI_ARGS: args },
      )
      t.equal(code, 0, stderr)
    }
    await host.exec(['sh', '-c', `cat > "${confDir}/30-${evil}.conflist"; mkdir /run/more`], { stdin: '{' })
    await host.exec(['cp', '/bin/false', `/run/more/${evil}`])
    await host.sh('ip -n web link set eth0 down')
    await host.exec(['ip', '-n', 'web', 'link', 'set', 'eth0', 'name', evil])
    await host.sh(`
      ip netns del gone
      sed -i 's/"bootID":"[^"]*"/"bootID":"before"/' $(grep -l '"gone"' -r /var/lib/cni/networks/.kubenet)`)

    const outputs: [args: string[], where: RegExp][] = [
      [['why', '10.244.1.2'], /interface +veth.* ↔ a\\u001b\[31m\\u0007\\u202e /],
      [['inspect'], /default\/weba\\u001b\[31m\\u0007\\u202e +eth0/],
      [['inspect', '--svg'], /default\/weba\\u001b/],
      [['inspect', '--mermaid'], /default\/weba\\u001b/],
      [['doctor'], /a\\u001b/],
      [['gc', 'kubenet'], /a\\u001b/],
      [['doctor', '--fix'], /a\\u001b/],
      [['trace', 'web'], /./],
      [['plugins'], /a\\u001b\[31m\\u0007\\u202e +/],
      [['networks'], /a\\u001b/],
      [['status'], /a\\u001b/],
      [['why', evil], /a\\u001b/],
      [['add', evil, '/run/netns/web'], /a\\u001b/],
      [['check', 'kubenet', `/run/netns/${evil}`], /a\\u001b/],
      [[evil], /a\\u001b/],
      [[`--${evil}`], /a\\u001b/],
      [['inspect', '--svg', `/run/${evil}.svg`], /a\\u001b/],
    ]
    for (const [args, where] of outputs) {
      await t.test(`kubenet ${args.join(' ').replace(evil, shown)}`, async t => {
        const { stdout, stderr } = await kubenet(args, { CNI_PATH: `${binDir(flavour)}:/run/more` })
        t.notMatch(stdout + stderr, raw)
        t.match(stdout + stderr, where)
      })
    }

    await t.test('pictures in files', async t => {
      for (const form of ['svg', 'mermaid']) {
        await kubenet(['inspect', `--${form}`, '/run/picture'])
        const picture = await host.sh('cat /run/picture')
        t.notMatch(picture, raw)
        t.match(picture, 'default/weba\\u001b[31m\\u0007\\u202e')
      }
    })

    await t.test('JSON says the name as it is, and controls no terminal either', async t => {
      const output = await kubenet(['inspect', '--json'])
      t.notMatch(output.stdout, raw)
      const web: Json = jsonOf(output).containers.find(({ containerID }: Json) => containerID === 'web')
      t.equal(web.pod, `default/web${evil}`)
    })

    await t.test('on a terminal the colours are the program’s own', async t => {
      const seen = await host.sh(
        `COLUMNS=300 TERM=xterm CNI_PATH=${binDir(flavour)} NETCONFPATH=${confDir} script -qec '${binDir(flavour)}/kubenet inspect' /dev/null`,
      )
      t.match(seen, '\u001b[1mCONTAINER')
      t.match(seen, `default/web${shown}`)
      t.notMatch(seen, evil)
    })

    await t.test('warnings of a plugin', async t => {
      const { stderr } = await host.exec([`${binDir(flavour)}/loopback`], {
        stdin: JSON.stringify({ cniVersion: '1.0.0', name: 'lo', type: 'loopback' }),
        env: {
          CNI_COMMAND: 'ADD',
          CNI_CONTAINERID: 'web',
          CNI_NETNS: '/run/netns/web',
          CNI_IFNAME: 'lo',
          CNI_PATH: binDir(flavour),
          CNI_LOG_FILE: `/run/${evil}/log`,
        },
      })
      t.notMatch(stderr, raw)
      t.match(stderr, shown)
    })

    await t.test('errors of a plugin', async t => {
      const name = `lo${evil}\u007f`
      const { code, stdout, stderr } = await host.exec([`${binDir(flavour)}/loopback`], {
        stdin: JSON.stringify({ cniVersion: '1.0.0', name, type: 'loopback' }),
        env: {
          CNI_COMMAND: 'ADD',
          CNI_CONTAINERID: 'web',
          CNI_NETNS: '/run/netns/web',
          CNI_IFNAME: 'lo',
          CNI_PATH: binDir(flavour),
        },
      })
      t.equal(code, 1)
      t.notMatch(stdout + stderr, raw)
      t.match(JSON.parse(stdout), { code: 7, msg: 'invalid characters found in network name' })
      t.match(stdout, '\\u202e')
    })
  })
}
