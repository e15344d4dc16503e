/** "prune": the bridge goes with its last container, and no ADD fails for that. */
import t from 'tap'
import { bridgeConf, layer2Conf, linksOf, Pod } from '../../fixtures/bridge'
import { anyFlavour } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const conf = bridgeConf('dual', { isGateway: true, prune: true, cniVersion: '1.1.0' })

const [flavour] = anyFlavour

t.test(`[${flavour}] the bridge goes with its last container`, async t => {
  if (!flavour) return
  const host = await PrivateHost.create(t)
  const pod = (name: string) => Pod.create(host, { flavour }, name)
  const [a, b] = [await pod('c1'), await pod('c2')]
  const names = async () => [...(await linksOf(host)).keys()].filter(name => !name.startsWith('veth'))

  await t.test('at DEL of the last one, not before', async t => {
    await a.add(conf)
    await b.add(conf)
    t.equal((await a.call('DEL', conf)).stdout, '')
    t.ok(await b.pings('10.1.2.1'), 'the other one still has its gateway')
    for (let i = 0; i < 2; i++) t.equal((await b.call('DEL', conf, { netns: '' })).stdout, '')
    t.same(await names(), ['lo'])
  })

  await t.test('at the end of an ADD that fails, if it has no other', async t => {
    const impossible = { ...conf, ipam: { ...conf.ipam, resolvConf: '/run/none' } }
    t.match((await a.call('ADD', impossible)).json, { code: 5, msg: 'read resolvConf "/run/none"' })
    t.same(await names(), ['lo'])
    await b.add(conf)
    t.equal((await a.call('ADD', impossible)).code, 1)
    t.ok(await b.pings('10.1.2.1'))
    t.equal((await b.call('DEL', conf)).stdout, '')
  })

  await t.test('at GC, when nothing on it is valid', async t => {
    await a.add(conf)
    await host.run('ip', 'netns', 'exec', 'c1', 'ip', 'link', 'set', 'eth0', 'down')
    t.equal((await a.call('GC', { ...conf, 'cni.dev/valid-attachments': [] })).stdout, '')
    t.same(await names(), ['lo'])
  })

  await t.test('unless it has a port of another program, or was made without the key', async t => {
    await a.add(conf)
    await host.sh(
      'ip link add up0 type bridge; ip link add x0 type veth peer name x1; ip link set x0 master br0',
    )
    t.equal((await a.call('DEL', conf)).stdout, '')
    t.same((await names()).sort(), ['br0', 'lo', 'up0', 'x0', 'x1'])
    await host.sh('for i in x0 br0 up0; do ip link del $i; done')
    const plain = layer2Conf({ cniVersion: '1.1.0' })
    await a.add(plain)
    t.equal((await a.call('DEL', { ...plain, prune: true })).stdout, '')
    t.same(await names(), ['lo', 'br0'])
    await host.run('ip', 'link', 'del', 'br0')
  })

  await t.test('while containers come and go no ADD fails, and no bridge is left', async t => {
    const rounds = 5
    const workers = await Promise.all(['w1', 'w2', 'w3', 'w4'].map(pod))
    const failures: string[] = []
    const work = async (one: Pod): Promise<void> => {
      for (let i = 0; i < rounds; i++) {
        for (const command of ['ADD', 'DEL']) {
          const { code, stdout } = await one.call(command, conf)
          if (code !== 0) failures.push(`${one.name} ${command}: ${stdout}`)
        }
      }
    }
    await Promise.all(workers.map(work))
    t.same(failures, [])
    t.same(await names(), ['lo'])
  })
})
