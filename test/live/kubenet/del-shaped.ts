/** DEL of a pod with bandwidth limits: its veth pair and ifb go together, and whatever becomes of that, they go. */
import { existsSync } from 'node:fs'
import t from 'tap'
import { anyFlavour, type Json } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'
import type { Output } from '../../fixtures/private-host'

const hasStrace = existsSync('/usr/bin/strace') ? {} : { skip: 'needs /usr/bin/strace' }

const rate = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 }
const conf: Json = kubenetConf({ runtimeConfig: { bandwidth: rate } })

/** DEL of "web" under strace, which does with its messages to the kernel what `inject` says. */
const delTraced = ({ host, folder }: Node, inject?: string): Promise<Output> =>
  host.exec(
    [
      ...['strace', '-o', '/run/trace', '-e', 'trace=sendto'],
      ...(inject ? ['-e', `inject=sendto:${inject}`] : []),
      `${folder}/kubenet`,
    ],
    {
      stdin: JSON.stringify(conf),
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        CNI_COMMAND: 'DEL',
        CNI_CONTAINERID: 'web',
        CNI_NETNS: '/run/netns/web',
        CNI_IFNAME: 'eth0',
        CNI_PATH: folder,
      },
    },
  )

/** The messages to the kernel of the last one, as strace writes them. */
const messages = async ({ host }: Node): Promise<string[]> =>
  (await host.sh('grep ^sendto /run/trace')).trimEnd().split('\n')

const linksLeft = async ({ host }: Node): Promise<string> =>
  (await host.sh('ip -br link | grep -oE "^(veth|bwp)[0-9a-f]+" || true')).trim()

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] DEL of a shaped pod`, hasStrace, async t => {
    const node = await Node.create(t, flavour)
    await node.add('web', conf)
    const again = () => node.call('ADD', 'web', conf)

    const { code, stdout } = await delTraced(node)
    t.same([code, stdout, await linksLeft(node)], [0, '', ''])
    const sent = await messages(node)
    t.equal(sent.filter(line => line.includes('RTM_DELLINK')).length, 1, 'one message deletes both links')
    t.ok(sent.length <= 16, `${sent.length} messages`)
    const deletion = sent.findIndex(line => line.includes('RTM_DELLINK')) + 1

    await t.test('when the kernel does not delete links by their group', async t => {
      await again()
      const { code, stdout } = await delTraced(node, `error=EINVAL:when=${deletion}`)
      t.same([code, stdout, await linksLeft(node)], [0, '', ''])
      t.ok((await messages(node)).length > sent.length, 'it goes on otherwise')
    })

    await t.test('when it is killed, and the ifb is one of the reference’s', async t => {
      // It asks more than for one of ours before it deletes anything.
      for (let n = deletion - 2; n <= deletion + 4; n++) {
        await again()
        await node.host.sh(`ip link set "$(ip -br link | grep -o '^bwp[0-9a-f]*')" alias ''`)
        await delTraced(node, `signal=KILL:when=${n}`)
        await node.del('web', conf)
        t.equal(await linksLeft(node), '', `killed at message ${n}: the next DEL leaves nothing`)
      }
    })
  })
}
