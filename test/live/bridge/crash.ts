import t from 'tap'
import { bridgeConf, hostWithPods, layer2Conf } from '../../fixtures/bridge'
import { flavours } from '../../fixtures/cni'
import { addInjected } from '../../fixtures/strace'

const conf = bridgeConf('dual', { isDefaultGateway: true, ipMasq: true, cniVersion: '1.1.0' })

for (const flavour of flavours) {
  t.test(
    `[${flavour}] killed at any request, an ADD is cleaned up by DEL, or by GC, and can be repeated`,
    async t => {
      const { host, pod: podOf } = await hostWithPods(t, flavour)
      const [pod, other] = [await podOf('c1'), await podOf('c2')]
      await other.add(conf)
      const before = await host.snapshot()
      const valid = { ...conf, 'cni.dev/valid-attachments': [{ containerID: 'c2', ifname: 'eth0' }] }
      // Node.js takes a while to start: there each third request stands for its neighbours.
      const step = flavour === 'node' ? 3 : 1
      let killed = 0
      for (let n = 1; ; n += step) {
        const { code } = await addInjected(host, { flavour, pod }, conf, `sendto:signal=KILL:when=${n}`)
        if (code === 0) break
        const verb = killed++ % 2 === 0 ? 'DEL' : 'GC'
        const cleaned = await pod.call(verb, verb === 'GC' ? valid : conf)
        t.same([cleaned.code, cleaned.stdout], [0, ''], `${verb} after request ${n}`)
        t.equal(await host.snapshot(), before, `the host is as before request ${n}`)
        t.equal(await pod.link(), undefined)
      }
      t.ok(killed > 15 / step, `killed ${killed} times`)
      t.ok(await pod.pings('10.1.2.1'), 'the one that was not killed works')
    },
  )

  t.test(`[${flavour}] a killed ADD of layer 2 needs no cleaning before it is repeated`, async t => {
    const { host, pod: podOf } = await hostWithPods(t, flavour)
    const [pod, one] = [await podOf('c1'), layer2Conf()]
    let killed = 0
    for (;;) {
      const { code } = await addInjected(host, { flavour, pod }, one, `sendto:signal=KILL:when=${killed + 1}`)
      if (code === 0) break
      killed++
      const { code: repeated, stdout } = await pod.call('ADD', one)
      // Killed at the last request, which calls the pair finished, or after it, there is nothing to be told apart.
      if (repeated !== 0) t.match(stdout, /already exists/, `killed at request ${killed}`)
      t.equal((await pod.call('DEL', one)).code, 0)
    }
    t.ok(killed > 8, `killed ${killed} times`)
  })
}
