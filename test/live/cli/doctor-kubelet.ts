/** `kubenet doctor`: what kubelet's own kubenet left is found, and removed only where nothing can need it. */
import t, { type Test } from 'tap'
import { anyFlavour, type Json } from '../../fixtures/cni'
import { capabilities, configureNetworks, connectHost, jsonOf, runKubenet } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

/** As Kubernetes 1.20 makes it for a pod with host port 8080 and limits, 10.244.1.77. */
const remains = `
iptables-restore --noflush << 'END'
*nat
:KUBE-HOSTPORTS - [0:0]
:KUBE-HP-ABCDEFGHIJKLMNOP - [0:0]
-A PREROUTING -m comment --comment "kube hostport portals" -m addrtype --dst-type LOCAL -j KUBE-HOSTPORTS
-A OUTPUT -m comment --comment "kube hostport portals" -m addrtype --dst-type LOCAL -j KUBE-HOSTPORTS
-A POSTROUTING -s 127.0.0.0/8 -o cbr0 -m comment --comment "SNAT for localhost access to hostports" -j MASQUERADE
-A POSTROUTING ! -d 10.0.0.0/8 -m comment --comment "kubenet: SNAT for outbound traffic from cluster" -m addrtype ! --dst-type LOCAL -j MASQUERADE
-A KUBE-HOSTPORTS -p tcp -m comment --comment "web_default hostport 8080" -m tcp --dport 8080 -j KUBE-HP-ABCDEFGHIJKLMNOP
-A KUBE-HP-ABCDEFGHIJKLMNOP -s 10.244.1.77/32 -m comment --comment "web_default hostport 8080" -j MARK --set-xmark 0x4000/0x4000
-A KUBE-HP-ABCDEFGHIJKLMNOP -p tcp -m comment --comment "web_default hostport 8080" -m tcp -j DNAT --to-destination 10.244.1.77:80
COMMIT
END
ebtables -N KUBE-DEDUP -P RETURN; ebtables -A OUTPUT -j KUBE-DEDUP
ebtables -A KUBE-DEDUP -p IPv4 -s 0a:58:0a:f4:01:01 -o veth+ --ip-src 10.244.1.0/24 -j DROP
tc qdisc add dev cbr0 root handle 1: htb default 30`

const rules = `
  iptables-save -t nat | grep -E '^-A|KUBE' | sed 's/ \\[.*//' || :
  ebtables -L | grep -A3 KUBE || :
  tc qdisc show dev cbr0`

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] what kubelet's kubenet left`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = (args: readonly string[], env: Record<string, string> = {}) =>
      runKubenet(host, flavour, args, { env })
    const lines = async (...more: string[]): Promise<Json[]> =>
      jsonOf(await kubenet(['doctor', '--json', ...more])).lines.filter(
        ({ check }: Json) => check === 'kubelet',
      )
    await connectHost(host)
    await configureNetworks(host, flavour)
    await kubenet(['init'])
    await host.netns('blue')
    const add = ['add', 'kubenet', '/run/netns/blue', '--container-id', 'blue']
    t.equal((await kubenet(add, capabilities(8001))).code, 0)
    const before = await host.sh(`${rules}\nnft list table inet kubenet`)
    t.same(await lines(), [], 'a node without them has no such line')
    await host.sh(remains)
    const planted = await host.sh(rules)

    await t.test('each is named', async t => {
      t.same(
        (await lines()).map(({ code, status, fixable }) => [code, status, fixable]),
        [
          ['KN0090', 'warn', true],
          ['KN0091', 'warn', true],
          ['KN0092', 'warn', true],
        ],
      )
    })

    const isKept = async (t: Test, why: RegExp, count: number) => {
      const said = await lines('--fix')
      t.equal(said.filter(({ status, says }) => status === 'ok' && why.test(says)).length, count)
    }

    await t.test('nothing is removed while kubelet runs with kubenet', async t => {
      await host.sh(`
        printf '#!/bin/sh\nwhile :; do sleep 0.2; done\n' > /run/kubelet; chmod +x /run/kubelet
        /run/kubelet --network-plugin=kubenet > /dev/null 2>&1 & echo $! > /run/pid`)
      await isKept(t, /left alone, because kubelet runs, process \d+/, 3)
      t.equal(await host.sh(rules), planted)
      await host.sh('kill $(cat /run/pid); while kill -0 $(cat /run/pid) 2> /dev/null; do sleep 0.1; done')
    })

    await t.test('nor while a pod that another program connected is on the bridge', async t => {
      await host.sh(`
        ip netns add old; ip link add veth0 type veth peer name eth0 netns old
        ip link set veth0 master cbr0 up`)
      await isKept(t, /left alone, because "veth0" may be the interface of a pod/, 3)
      t.equal(await host.sh(rules), planted)
      await host.sh('ip link del veth0; ip netns del old')
    })

    await t.test('nor are rules for an address that a container has now', async t => {
      await host.sh(`
        iptables -t nat -A KUBE-HP-ABCDEFGHIJKLMNOP -p tcp -j DNAT --to-destination 10.244.1.2:80`)
      const said = await lines()
      t.match(said[0], { status: 'ok', says: /it has rules for 10\.244\.1\.2, which a container has/ })
      await host.sh(`
        iptables -t nat -D KUBE-HP-ABCDEFGHIJKLMNOP -p tcp -j DNAT --to-destination 10.244.1.2:80`)
    })

    await t.test("an administrator's own htb stays, and is named", async t => {
      for (const own of ['1: htb default 10', '2: htb default 30']) {
        await host.sh(`tc qdisc replace dev cbr0 root pfifo; tc qdisc replace dev cbr0 root handle ${own}`)
        t.match((await lines()).at(-1), {
          ...{ code: 'KN0092', status: 'warn', fixable: false },
          remedy: 'if no program needs it: tc qdisc del dev cbr0 root',
        })
      }
      await host.sh(`
        tc qdisc replace dev cbr0 root pfifo; tc qdisc replace dev cbr0 root handle 1: htb default 30`)
    })

    await t.test('--fix removes all of it, and nothing of a container', async t => {
      t.same(await lines('--fix'), [])
      t.equal(await host.sh(`${rules}\nnft list table inet kubenet`), before)
    })
  })
}
