import t from 'tap'
import { addressesOf, bridgeConf, hostWithPods, linksOf, type Pod } from '../../fixtures/bridge'
import { type Answer, flavours } from '../../fixtures/cni'

const conf = bridgeConf('dual', { isDefaultGateway: true, ipMasq: true })

/** Runs `work` for every pod, `atOnce` of them at a time. */
const forEachAtOnce = async <T>(
  pods: readonly Pod[],
  atOnce: number,
  work: (pod: Pod) => Promise<T>,
): Promise<T[]> => {
  const results: T[] = []
  const left = [...pods]
  const worker = async () => {
    for (let pod = left.shift(); pod; pod = left.shift()) results.push(await work(pod))
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}

for (const flavour of flavours) {
  const runs =
    flavour === 'standalone'
      ? [{ count: 100, atOnce: 30 }]
      : // A start of this flavour takes as much of the machine as ten of the other.
        [{ count: 6, atOnce: 6 }]
  for (const { count, atOnce } of runs) {
    t.test(`[${flavour}] ${count} first ADDs, ${atOnce} at once, then as many DELs`, async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await host.sh('for i in iptables ip6tables; do $i -t nat -A POSTROUTING -j ACCEPT; $i -t nat -F; done')
      const before = await host.snapshot()
      const pods = await forEachAtOnce(
        await Promise.all(Array.from({ length: count }, (_, i) => pod(`c${i}`))),
        atOnce,
        async one => one,
      )
      const failed = (answers: readonly Answer[]) =>
        answers.filter(({ code }) => code !== 0).map(({ stdout, stderr }) => stdout + stderr)

      const added = await forEachAtOnce(pods, atOnce, one => one.call('ADD', conf))
      t.same(failed(added), [])
      const addresses = added.flatMap(({ json }) =>
        (json?.ips ?? []).map(({ address }: { address: string }) => address),
      )
      t.equal(new Set(addresses).size, 2 * count, 'every address was given once')
      const links = await linksOf(host)
      t.same(
        addressesOf(links.get('br0')),
        ['10.1.2.1/24', 'fd00:2::1/64'],
        'one bridge, one address a family',
      )
      t.equal(new Set(added.map(({ json }) => json?.interfaces[0].mac)).size, 1, 'and one MAC')
      const ports = [...links.values()].filter(({ master }) => master === 'br0')
      t.equal(ports.length, count)
      t.ok(ports.every(({ group, ifalias }) => group === 'default' && ifalias))
      const [first, last] = [pods[0], pods.at(-1)]
      for (const one of [first, last]) {
        for (const gateway of ['10.1.2.1', 'fd00:2::1']) t.ok(await one?.pings(gateway), gateway)
      }

      const checked = await forEachAtOnce(pods.slice(0, 5), 5, one => {
        const result = added.find(({ json }) => json?.interfaces[2].sandbox === one.netns)
        return one.call('CHECK', { ...conf, prevResult: result?.json })
      })
      t.same(failed(checked), [])

      t.same(failed(await forEachAtOnce(pods, atOnce, one => one.call('DEL', conf))), [])
      await host.run('ip', 'link', 'del', 'br0')
      t.equal(await host.snapshot(), before, 'nothing is left')
    })
  }
}
