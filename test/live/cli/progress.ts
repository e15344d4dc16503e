/** A command that takes longer than a second shows its progress, on a standard error that is a terminal. */
import { existsSync } from 'node:fs'
import t from 'tap'
import { anyFlavour, binDir } from '../../fixtures/cni'
import { configureNetworks } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

const reason = existsSync('/usr/bin/strace') ? false : 'needs /usr/bin/strace'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] a node that takes long to read`, { skip: reason }, async t => {
    const host = await PrivateHost.create(t)
    await configureNetworks(host, flavour)
    const pods = ['p1', 'p2', 'p3', 'p4']
    await host.sh(
      pods.map(name => `ip netns add ${name}; ip link add type veth peer name eth0 netns ${name}`).join('\n'),
    )
    // Reading namespaces is one piece of work that waits for nothing: each is entered and left, 200 ms each time.
    const slowly = 'strace -f -qq -o /run/strace -e trace=setns -e inject=setns:delay_enter=200000'
    const env = 'CNI_PATH=/run/none NETCONFPATH=/run/net.d'
    const said = async (command: string): Promise<string> => {
      const line = `${env} ${slowly} ${binDir(flavour)}/kubenet ${command} > /run/out || true`
      return (await host.run('script', '-qec', line, '/dev/null')).replaceAll('\r', '')
    }

    for (const command of ['inspect --json', 'doctor --json']) {
      await t.test(`kubenet ${command} says which part of it`, async t => {
        t.match(await said(command), /^reading the node: [^\n]+ \(\d+ s\)\n/)
        t.equal((await host.sh('jq -r type /run/out')).trim(), 'object', 'nothing of that is in the answer')
      })
    }

    await t.test('a program that calls it, or a file, hears nothing of that', async t => {
      t.same([await said('inspect 2> /run/err'), await host.sh('cat /run/err')], ['', ''])
      t.ok(Number(await host.sh('grep -c setns /run/strace')) >= 8, 'though it took as long')
    })
  })
}
