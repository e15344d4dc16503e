import t from 'tap'
import { bridgeConf, hostWithPods } from '../../fixtures/bridge'
import { anyFlavour } from '../../fixtures/cni'
import { addInjected } from '../../fixtures/strace'

const conf = bridgeConf('dual', { isDefaultGateway: true, ipMasq: true, hairpinMode: true })

for (const flavour of anyFlavour) {
  for (const bridge of ['a bridge that is in use', 'no bridge yet'] as const) {
    t.test(
      `[${flavour}] whichever netlink request of an ADD is refused, nothing is left: ${bridge}`,
      async t => {
        const { host, pod: podOf } = await hostWithPods(t, flavour)
        const [pod, other] = [await podOf('c1'), await podOf('c2')]
        await other.add(conf)
        if (bridge === 'no bridge yet') {
          await other.call('DEL', conf)
          await host.run('ip', 'link', 'del', 'br0')
        }
        // The bridge may stay, with what makes it the gateway.
        const state = async () => (await host.snapshot()).replaceAll(/^br0 .*\n/gm, '')
        const before = await state()
        let refused = 0
        for (let n = 1; ; n++) {
          const answer = await addInjected(host, { flavour, pod }, conf, `sendto:error=EPERM:when=${n}`)
          if (n > answer.calls) {
            t.equal(answer.code, 0, `the ADD has ${answer.calls} requests`)
            break
          }
          t.equal(answer.code, 1, `request ${n}`)
          const { code, msg, details } = JSON.parse(answer.stdout)
          t.equal(code, 999)
          t.match(msg, /: EPERM$/, msg)
          t.match(details, /CAP_NET_ADMIN/)
          t.equal(await state(), before, `the host is as before: ${msg}`)
          t.equal(await pod.link(), undefined)
          refused++
          if (bridge === 'no bridge yet') await host.sh('ip link del br0 2> /dev/null || true')
        }
        t.ok(refused > 15, `${refused} were refused`)
        t.ok(await pod.pings('10.1.2.1'))
      },
    )
  }
}
