/** A container attached twice on a host where no program of iptables is installed. */
import t from 'tap'
import { anyFlavour, binDir, call, type Json } from '../../fixtures/cni'
import { bridgeOf, linkNodeAlone, nodeAlone as path, portsOf, tryOwnership } from '../../fixtures/ownership'
import { PrivateHost } from '../../fixtures/private-host'

t.jobs = 2

for (const [name, chain] of [
  [
    'portmap without a backend',
    (port: number) => ({ type: 'portmap', conf: { runtimeConfig: portsOf([port]) } }),
  ],
  ['portmap without ports', () => ({ type: 'portmap', conf: {} })],
] as const) {
  t.test(name, { buffered: true }, t =>
    tryOwnership(t, { path, chain: side => [bridgeOf(side, { ipMasq: true }), chain(side.port)] }),
  )
}

t.test('kubenet, which takes nftables by itself', { buffered: true }, t =>
  tryOwnership(t, {
    path,
    chain: side => [
      {
        type: 'kubenet',
        conf: { bridge: `br-${side.network}`, podCIDR: side.subnet, runtimeConfig: portsOf([side.port]) },
      },
    ],
  }),
)

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] the backend iptables that cannot be had`, { buffered: true }, async t => {
    const host = await PrivateHost.create(t)
    await host.sh(linkNodeAlone)
    await host.netns('c1')
    const run = (command: string, ifName: string, conf: Json, env: Json = { PATH: path }) =>
      call(
        host,
        binDir(flavour),
        conf.type,
        { cniVersion: '1.1.0', name: 'net', ...conf },
        {
          command,
          ifName,
          netns: '/run/netns/c1',
          env,
        },
      )
    const kubenet = {
      type: 'kubenet',
      backend: 'iptables',
      podCIDR: '10.31.0.0/24',
      runtimeConfig: portsOf([8080]),
    }
    const portmap = (address: string): Json => ({
      type: 'portmap',
      backend: 'iptables',
      runtimeConfig: portsOf([8080]),
      prevResult: { cniVersion: '1.1.0', ips: [{ address }] },
    })
    const installed = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

    for (const [first, second] of [
      [kubenet, kubenet],
      [portmap('10.31.0.2/24'), portmap('10.31.0.3/24')],
    ] as const) {
      await t.test(`${first.type}: the first is from before iptables was removed`, async t => {
        const { code, json: prevResult } = await run('ADD', 'eth0', first, installed)
        t.equal(code, 0)
        const state = async () =>
          `${await host.snapshot()}\n${await host.sh('find /run/kubenet-cni/hostports -type f | sort')}`
        const before = await state()
        const refused = await run('ADD', 'eth1', second)
        t.equal(refused.code, 1)
        t.match(
          `${refused.json.msg} ${refused.json.details}`,
          /iptables-restore is not in PATH.*install iptables/,
        )
        t.equal(await state(), before, 'nothing of it is left, and nothing of the first is gone')
        t.equal((await run('DEL', 'eth1', second)).code, 0, 'DEL of the second')
        t.equal(await host.sh('nft list table ip nat | grep -c "dnat to 10.31.0.2"'), '1\n')
        t.equal((await run('DEL', 'eth0', { ...first, prevResult }, installed)).code, 0)
        t.notMatch(await host.sh('nft list ruleset'), /dnat to/)
      })
    }
  })
}
