/**
 * A process with CAP_NET_ADMIN in a container's network namespace sends answers of its own to whatever asks the kernel
 * something in there. None of them is believed.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bridgeConf, hostWithPods } from '../fixtures/bridge'
import { binDir, flavours, type Json } from '../fixtures/cni'
import { runKubenet } from '../fixtures/command-line'
import type { PrivateHost } from '../fixtures/private-host'

const needed = ['/usr/bin/perl', '/usr/bin/strace'].find(program => !existsSync(program))
const skip = needed === undefined ? {} : { skip: `needs ${needed}` }

const forger = readFileSync(join(__dirname, '../fixtures/netlink-forger.pl'), 'utf8')
const conf = bridgeConf('dual', { isGateway: true, enabledad: true })

/** Starts the attacker in a container's namespace; it ends with the test. Answers how to end it, and what it says. */
const forge = async (t: Test, host: PrivateHost, name: string): Promise<() => Promise<string>> => {
  await host.exec(['sh', '-c', 'cat > /run/forger.pl'], { stdin: forger })
  const stop = async () =>
    host.sh(
      'if [ -e /run/forger.pid ]; then kill "$(cat /run/forger.pid)"; rm /run/forger.pid; fi; sleep 0.2; cat /run/forger.out',
    )
  t.teardown(stop)
  await host.sh(`
    ip netns exec ${name} perl /run/forger.pl > /run/forger.out 2>&1 & echo $! > /run/forger.pid
    for i in $(seq 100); do grep -q ready /run/forger.out && exit 0; sleep 0.05; done; exit 1
  `)
  return stop
}

/** A plugin whose every message to the kernel leaves an attacker 20 ms to be there first. */
const slowly = (host: PrivateHost, folder: string, command: string, stdin: Json) =>
  host.exec(
    [
      'strace',
      '-f',
      '-o',
      '/dev/null',
      '-e',
      'trace=sendto',
      '-e',
      'inject=sendto:delay_enter=20000',
      `${folder}/bridge`,
    ],
    {
      stdin: JSON.stringify(stdin),
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        CNI_COMMAND: command,
        CNI_CONTAINERID: 'c1',
        CNI_NETNS: '/run/netns/c1',
        CNI_IFNAME: 'eth0',
        CNI_PATH: folder,
      },
    },
  )

for (const flavour of flavours) {
  t.test(`[${flavour}] forged answers in the container's namespace`, skip, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const folder = binDir(flavour)
    const stop = await forge(t, host, 'c1')

    const added = await slowly(host, folder, 'ADD', conf)
    t.equal(added.code, 0, added.stdout)
    const prevResult = JSON.parse(added.stdout)
    for (const gateway of ['10.1.2.1', 'fd00:2::1']) t.ok(await a.pings(gateway), gateway)
    const checked = await slowly(host, folder, 'CHECK', { ...conf, prevResult })
    t.same([checked.code, checked.stdout], [0, ''], 'CHECK')

    const { stdout } = await runKubenet(host, flavour, ['inspect', '--json'])
    t.match(stdout, /10\.1\.2\.2/, 'the command line sees what is inside')

    const deleted = await slowly(host, folder, 'DEL', { ...conf, prevResult })
    t.same([deleted.code, deleted.stdout], [0, ''], 'DEL')
    t.equal(await a.link(), undefined)

    const [, sent, refused] = /(\d+) sent, (\d+) refused/.exec(await stop()) ?? []
    t.ok(Number(sent) + Number(refused) > 0, `the attacker was there: ${sent} sent, ${refused} refused`)
  })
}
