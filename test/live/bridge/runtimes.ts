/** Calls as containerd, ctr, cnitool and podman were seen to make them. */
import t, { type Test } from 'tap'
import { startInBackground } from '../../fixtures/background'
import { bridgeConf, hostWithPods, layer2Conf, linksOf } from '../../fixtures/bridge'
import { binDir, flavours, type Json } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

/** A process in a namespace of the host, as a container's first one is; answers its PID and how to end it. */
const processIn = async (t: Test, host: PrivateHost, netns: string) => {
  const argv = [...host.enter, 'ip', 'netns', 'exec', netns, 'sh', '-c', 'echo $$; exec cat']
  const { greeting, end } = await startInBackground(t, argv, { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' })
  return { pid: Number(greeting), end }
}

for (const flavour of flavours) {
  t.test(`[${flavour}] containerd's CRI`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const id = '7733b91e3e769474dc59f0a7843757622928300c789d6ad260f0e4fdb75b7abd'
    const conf = bridgeConf('v4', {
      bridge: 'cl-br10',
      name: 'cl-cri',
      hairpinMode: true,
      promiscMode: false,
      ipMasq: true,
      isGateway: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ rangeEnd: '10.250.11.12', rangeStart: '10.250.11.10', subnet: '10.250.11.0/24' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    })
    const options = {
      containerID: id,
      args: `K8S_POD_UID=uid-cl-a;IgnoreUnknown=1;K8S_POD_NAMESPACE=cl;K8S_POD_NAME=cl-a;K8S_POD_INFRA_CONTAINER_ID=${id}`,
      env: { LD_LIBRARY_PATH: '/opt/containerd/lib:' },
    }
    const a = await pod('cni-faa1c2ef')
    const result = await a.add(conf, options)
    t.same(result.ips, [{ interface: 2, address: '10.250.11.10/24', gateway: '10.250.11.1' }])
    t.same(result.routes, [{ dst: '0.0.0.0/0' }])
    t.equal((await a.run('ip', 'route', 'show', 'default')).trim(), 'default via 10.250.11.1 dev eth0')
    const calls: [string, Json, object][] = [
      ['with its result', { ...conf, prevResult: result }, {}],
      ['again, without a namespace or result', conf, { netns: '' }],
      ['once more', conf, { netns: '' }],
    ]
    for (const [what, one, more] of calls) {
      const { code, stdout } = await a.call('DEL', one, { ...options, ...more })
      t.same([code, stdout], [0, ''], what)
    }
    t.same([...(await linksOf(host)).keys()], ['lo', 'cl-br10'])
    t.notMatch(await host.run('iptables-save', '-t', 'nat'), /CNI-/)
  })

  t.test(`[${flavour}] ctr's namespaces are those of processes, which may be gone`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const conf = bridgeConf('v4', { isGateway: true, ipMasq: true })
    await host.sh('iptables -t nat -N x; iptables -t nat -X x')
    const a = await pod('c1')
    const { pid, end } = await processIn(t, host, 'c1')
    const options = { containerID: 'default-cl-ctr1', netns: `/proc/${pid}/ns/net` }
    const result = await a.add(conf, options)
    t.equal(result.interfaces[2].sandbox, options.netns)
    t.equal((await a.call('CHECK', { ...conf, prevResult: result }, options)).code, 0)
    await end()
    await host.run('ip', 'netns', 'del', 'c1')
    t.equal((await a.call('DEL', { ...conf, prevResult: result }, options)).stdout, '')
    t.same([...(await linksOf(host)).keys()], ['lo', 'br0'])
    t.notMatch(await host.run('iptables-save', '-t', 'nat'), /CNI-/)
  })

  t.test(`[${flavour}] cnitool's capabilities arrive as runtimeConfig`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const a = await pod('cl-a')
    const result = await a.add(
      {
        bridge: 'cl-br2',
        capabilities: { ips: true, mac: true },
        cniVersion: '0.3.1',
        ipam: { dataDir: '/run/cl-ipam', subnet: '10.250.3.0/24', type: 'host-local' },
        isGateway: true,
        mtu: 1400,
        name: 'cl-ips',
        runtimeConfig: { ips: ['10.250.3.88'], mac: '02:42:ac:11:00:99' },
        type: 'bridge',
      },
      { containerID: 'cnitool-43a1f034d3c754499a9f', args: '' },
    )
    t.same(result.ips, [{ version: '4', interface: 2, address: '10.250.3.88/24', gateway: '10.250.3.1' }])
    t.equal(result.interfaces[2].mac, '02:42:ac:11:00:99')
  })

  t.test(
    `[${flavour}] podman asks for address and MAC in CNI_ARGS, and for the same address twice`,
    async t => {
      const { pod } = await hostWithPods(t, flavour)
      const a = await pod('c1')
      const conf = bridgeConf('v4', {
        cniVersion: '0.4.0',
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          routes: [{ dst: '0.0.0.0/0' }],
          ranges: [[{ subnet: '10.89.0.0/24', gateway: '10.89.0.1' }]],
        },
      })
      const args = 'IgnoreUnknown=1;K8S_POD_NAME=box;IP=10.89.0.77;MAC=92:d0:c6:0a:29:33'
      const result = await a.add(conf, { args })
      t.same(result.ips, [{ version: '4', interface: 2, address: '10.89.0.77/24', gateway: '10.89.0.1' }])
      t.equal((await a.link()).address, '92:d0:c6:0a:29:33')
      t.equal((await a.call('DEL', conf, { args })).code, 0)
      const reload = { ...conf, runtimeConfig: { ips: ['10.89.0.77', '10.89.0.77'] } }
      t.same((await a.add(reload, { args: 'IgnoreUnknown=1;MAC=92:d0:c6:0a:29:33' })).ips, result.ips)
    },
  )

  t.test(`[${flavour}] a runtime that loses patience gets an error object, and nothing is left`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(`mkdir /run/bin; cat > /run/bin/slow <<'END'
#!/bin/sh
echo $CNI_COMMAND >> /run/calls
[ $CNI_COMMAND = DEL ] && exit
kill -TERM $PPID # as a runtime that has waited long enough
sleep 3
echo '{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.9/24"}]}'
END
      chmod +x /run/bin/slow; ip link add br0 type bridge; ip link set br0 up`)
    const a = await pod('c1')
    const before = await host.snapshot()
    const { code, stdout } = await host.exec([`${binDir(flavour)}/bridge`], {
      stdin: JSON.stringify({ ...layer2Conf(), ipam: { type: 'slow' } }),
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'c1',
        CNI_NETNS: a.netns,
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/run/bin',
      },
    })
    t.equal(code, 1)
    t.match(JSON.parse(stdout), {
      code: 11,
      msg: 'interrupted by SIGTERM while waiting for IPAM plugin "slow"',
    })
    t.equal(await host.sh('cat /run/calls'), 'ADD\nDEL\n')
    t.equal(await host.snapshot(), before)
    t.equal(await a.link(), undefined)
  })
}
