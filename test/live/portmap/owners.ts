/** Whose a host port is: refused to a second container while the first lives, taken over once it is gone. */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { PortHost, type PortPod } from '../../plugins/portmap/fixtures/port-host'

for (const flavour of flavours) {
  // The claims come before either backend; starting Node.js for each call takes its time.
  for (const backend of flavour === 'node' ? ['nftables'] : ['iptables', 'nftables']) {
    t.test(`[${flavour}, ${backend}] a port has one owner`, async t => {
      const host = await PortHost.create(t, { flavour })
      const [first, second] = [await host.namedPod('first'), await host.namedPod('second')]
      const web = first.conf(['8080:80/tcp'], { backend })
      const other = (mapping: string, more = {}) => second.conf([mapping], { backend, ...more })
      // What a container leaves for good: the shared chains.
      await first.must('ADD', web)
      await first.must('DEL', web)
      const empty = await host.state()

      await t.test('a second one gets an error with its owner, and nothing changes', async t => {
        await first.must('ADD', web, { args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0' })
        const before = await host.state()
        for (const [mapping, port] of [
          ['8080:81/tcp', '8080/tcp'],
          ['192.0.2.1@8080:81/tcp', '8080/tcp of 192.0.2.1'],
          ['2001:db8::1@8080:81/tcp', '8080/tcp of 2001:db8::1'],
        ] as const) {
          const { code, json } = await second.call('ADD', other(mapping))
          t.equal(code, 1)
          t.equal(json.code, 7)
          t.equal(json.msg, `host port ${port} is taken by container first (pod shop/web-0)`)
          t.match(json.details, /^network net, interface eth0, netns \/run\/netns\/first, /)
          t.match(
            json.details,
            /which has it on all IPv[46] addresses; delete that container or choose another/,
          )
        }
        const foreign = host.paperPod('foreign', { network: 'net2' })
        t.match((await foreign.call('ADD', foreign.conf(['8080:80/tcp'], { backend }))).json, { code: 7 })
        t.equal(await host.state(), before)
      })

      await t.test(
        'another protocol, another port, and the same container again are no conflict',
        async t => {
          const calls: [pod: PortPod, command: string, conf: Json][] = [
            [second, 'ADD', other('8080:80/udp')],
            [second, 'ADD', other('8081:80/tcp')],
            [first, 'ADD', web],
            [first, 'CHECK', web],
            [second, 'CHECK', other('8081:80/tcp')],
          ]
          for (const [pod, command, conf] of calls) t.equal((await pod.call(command, conf)).code, 0, command)
        },
      )

      await t.test('given back by DEL, it is free', async t => {
        await first.must('DEL', web)
        await second.must('ADD', other('8080:80/tcp'))
        await second.must('DEL', other('8080:80/tcp'))
        t.equal(await host.state(), empty)
      })

      await t.test('one address each is no conflict, and two at once have one winner', async t => {
        await first.must('ADD', first.conf(['192.0.2.1@8080:80/tcp'], { backend }))
        await second.must('ADD', other('192.0.2.2@8080:80/tcp'))
        await first.must('DEL', web)
        await second.must('DEL', web)
        const race = await Promise.all([first.call('ADD', web), second.call('ADD', other('8080:80/tcp'))])
        t.same(race.map(({ code }) => code).sort(), [0, 1])
        const [winner, loser] = race[0].code === 0 ? [first, race[1]] : [second, race[0]]
        t.match(loser.json, {
          code: 7,
          msg: `host port 8080/tcp is taken by container ${winner.containerID}`,
        })
        await winner.must('CHECK', winner.conf(['8080:80/tcp'], { backend }))
        await first.must('DEL', web)
        await second.must('DEL', web)
        t.equal(await host.state(), empty)
      })

      await t.test('of one that is gone nothing is left once another takes its port', async t => {
        await second.must('ADD', other('8080:80/tcp'))
        const without = await host.state()
        await second.must('DEL', web)
        await first.must('ADD', first.conf(['8080:80/tcp', '53:53/udp'], { backend }))
        await host.host.run('ip', 'netns', 'del', 'first')
        // The first one counts as alive until the kernel has removed its interfaces, and while a process cannot be seen.
        for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
          if ((await second.call('ADD', other('8080:80/tcp'))).code === 0) break
        }
        t.equal(await host.state(), without, 'as if the first had never been')
        await first.must('DEL', web, { netns: '' })
        t.equal(await host.state(), without, 'its late DEL takes nothing of the other’s')
        await second.must('DEL', web)
        t.equal(await host.state(), empty)
      })
    })
  }
}
