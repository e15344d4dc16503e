/**
 * Two interfaces of one container on one network share what the reference names after the container alone. They come
 * and go at the same time here, as CRI attaches all networks of a pod at once.
 */
import t from 'tap'
import { bridgeConf, Pod } from '../../fixtures/bridge'
import { type Answer, anyFlavour, type Json } from '../../fixtures/cni'
import { prepareTables } from '../../fixtures/masquerade'
import { PrivateHost } from '../../fixtures/private-host'

const rounds = 3

const [flavour] = anyFlavour

for (const ipMasqBackend of ['iptables', 'nftables']) {
  t.test(
    `[${flavour}] ${ipMasqBackend}: interfaces that come and go at once lose nothing and leave nothing`,
    async t => {
      if (!flavour) return
      const host = await PrivateHost.create(t)
      await prepareTables(host)
      const ruleset = () => host.run('nft', '-s', 'list', 'ruleset')
      const before = await ruleset()
      const pod = await Pod.create(host, { flavour }, 'c1')
      const conf = bridgeConf('dual', { isGateway: true, ipMasq: true, ipMasqBackend })

      const results = new Map<string, Json>()
      /** Calls at the same time, each "VERB interface"; all must succeed. */
      const atOnce = async (...calls: string[]): Promise<void> => {
        const answers = await Promise.all(
          calls.map(async (text): Promise<[string, Answer]> => {
            const [command = '', ifName = ''] = text.split(' ')
            const prevResult = command === 'ADD' ? {} : { prevResult: results.get(ifName) }
            const answer = await pod.call(command, { ...conf, ...prevResult }, { ifName })
            if (command === 'ADD') results.set(ifName, answer.json)
            return [text, answer]
          }),
        )
        for (const [text, { code, stdout }] of answers) t.equal(code, 0, `${text}: ${stdout}`)
      }
      /** The addresses whose traffic is masqueraded, by the rules that name them as their source. */
      const masqueraded = async (): Promise<string[]> => {
        const sources = [...(await ruleset()).matchAll(/saddr (\S+)/g)].map(([, address = '']) => address)
        return [...new Set(sources)].sort()
      }
      const addressesOf = (...ifNames: string[]): string[] =>
        ifNames
          .flatMap(ifName => results.get(ifName).ips.map(({ address }: Json) => address.split('/')[0]))
          .sort()

      for (let round = 0; round < rounds; round++) {
        await atOnce('ADD eth0', 'ADD eth1')
        t.same(await masqueraded(), addressesOf('eth0', 'eth1'))
        await atOnce('DEL eth0', 'ADD eth2', 'CHECK eth1')
        t.same(await masqueraded(), addressesOf('eth1', 'eth2'))
        await atOnce('CHECK eth1', 'CHECK eth2')
        await atOnce('DEL eth1', 'DEL eth2')
        t.equal(await ruleset(), before, `round ${round}: nothing is left`)
      }
      t.equal(await host.sh('find /var/lib/cni -name "10.*" -o -name "fd*"'), '', 'no lease either')
    },
  )
}
