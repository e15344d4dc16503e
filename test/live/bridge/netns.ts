import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods, layer2Conf, linksOf } from '../../fixtures/bridge'
import { anyFlavour, binDir, call, type Json } from '../../fixtures/cni'

const conf = bridgeConf('dual', { isGateway: true, ipMasq: true })
const own = '/proc/self/ns/net'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] ADD and CHECK without a namespace fail before anything is made`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await host.sh('touch /run/file')
    const before = await host.snapshot()
    const cases: [string, number, RegExp][] = [
      ['/run/netns/gone', 3, /^failed to open netns "\/run\/netns\/gone": it does not exist$/],
      ['/run/file', 8, /^CNI_NETNS "\/run\/file" is not a network namespace$/],
      ['/proc/self/ns/ipc', 8, /^CNI_NETNS "\/proc\/self\/ns\/ipc" is not a network namespace$/],
      [own, 8, /^plugin's netns and netns from CNI_NETNS should not be the same$/],
      ['', 4, /CNI_NETNS/],
    ]
    for (const [netns, code, msg] of cases) {
      const answer = await a.call('ADD', conf, { netns })
      t.equal(answer.code, 1)
      t.match(answer.json, { code, msg }, `ADD ${netns}`)
      const check = await a.call('CHECK', conf, { netns })
      // Code 3 would mean that no DEL is needed: true only before there was an ADD.
      t.match(check.json, { code: code === 3 ? 8 : code, msg }, `CHECK ${netns}`)
      t.equal(await host.snapshot(), before, netns)
    }
    t.notOk((await host.snapshot()).includes('veth'))
  })

  t.test(`[${flavour}] DEL with what is no network namespace (any more) does without`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await (await pod('keeper')).add(conf)
    await host.sh('touch /run/file')
    const before = await host.snapshot()
    for (const netns of ['/run/netns/gone', '/run/file', '/proc/self/ns/ipc', '']) {
      await a.add(conf)
      const { code, stdout } = await a.call('DEL', conf, { netns })
      t.same([code, stdout], [0, ''], netns)
      t.equal(await host.snapshot(), before, `nothing is left after DEL with "${netns}"`)
    }
  })

  t.test(`[${flavour}] a plugin that cannot come back out of a namespace ends at once`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const before = await host.snapshot()
    // The way in is the first setns, the way back the second: to see whether it is a network namespace at all.
    const inject = 'strace -qq -o /run/trace -e trace=setns -e inject=setns:error=EPERM:when=2'
    const program = `${binDir(flavour)}/bridge`
    await host.sh(`printf '#!/bin/sh\\n${inject} ${program}; exit $?\\n' > /run/bridge; chmod +x /run/bridge`)
    const { code, stdout } = await call(host, '/run', 'bridge', conf, {
      ...{ containerID: 'c1', netns: a.netns, path: binDir(flavour) },
    })
    t.same([code, stdout], [134, ''], 'SIGABRT, and no word')
    t.equal(await host.snapshot(), before, 'in neither namespace anything was made')
    t.equal(await a.link(), undefined)
  })

  t.test(`[${flavour}] DEL of the host's own namespace is refused too, and its interfaces stay`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1')
    const before = await host.snapshot()
    const { json } = await (await pod('c1')).call('DEL', conf, { netns: own })
    t.equal(json.code, 8)
    t.equal(await host.snapshot(), before)
  })

  t.test(`[${flavour}] with CNI_NETNS_OVERRIDE both ends of the veth may be on the host`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const checked = { ...conf, macspoofchk: true }
    await host.sh(`
      for i in iptables ip6tables; do $i -t nat -A POSTROUTING -j ACCEPT; $i -t nat -F; done
      nft 'add table bridge nat; add chain bridge nat PREROUTING { type filter hook prerouting priority -300; }'
    `)
    const before = await host.run('nft', '-s', 'list', 'ruleset')
    for (const value of ['1', 'true']) {
      const options = { netns: own, ifName: 'pod0', env: { CNI_NETNS_OVERRIDE: value } }
      const result = await a.add(checked, options)
      t.same([...(await linksOf(host)).keys()].sort(), ['br0', 'lo', 'pod0', hostVethOf(result)].sort())
      t.equal(result.interfaces[2].sandbox, own)
      const links = await linksOf(host)
      t.ok(
        links.get('pod0').addr_info.some(({ local }: Json) => local === result.ips[0].address.split('/')[0]),
      )
      const check = await a.call('CHECK', { ...checked, prevResult: result }, options)
      t.same([check.code, check.stdout], [0, ''])
      const again = await a.call('ADD', checked, options)
      t.match(again.json.msg, /^container veth name \("pod0"\) .* already exists$/)
      for (let i = 0; i < 2; i++) t.equal((await a.call('DEL', checked, options)).stdout, '')
      t.same([...(await linksOf(host)).keys()].sort(), ['br0', 'lo'])
      t.equal(await host.run('nft', '-s', 'list', 'ruleset'), before)
    }
  })

  t.test(`[${flavour}] an interface of that name in the container is an error, and stays`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'x')
    await host.sh('ip link add br0 type bridge; ip link set br0 up; ip addr add 10.1.2.1/24 dev br0')
    const before = await host.snapshot()
    for (const one of [conf, layer2Conf()]) {
      const { json } = await a.call('ADD', one)
      t.equal(json.code, 999)
      t.match(json.msg, /^container veth name \("eth0"\) peer provided \("veth[0-9a-f]{8}"\) already exists$/)
      t.match(json.details, /^in netns "\/run\/netns\/c1" there is an interface "eth0"/)
    }
    t.equal(await host.snapshot(), before)
    t.ok(await a.link())
    t.match((await a.call('ADD', conf, { ifName: 'lo' })).json.msg, /"lo".* already exists$/)
    await a.add(conf, { ifName: 'eth1' })
  })

  t.test(`[${flavour}] the sandbox of the result is CNI_NETNS as it came`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await host.sh('ln -s /run/netns /run/alias')
    const result = await a.add(conf, { netns: '/run/alias/c1' })
    t.equal(result.interfaces[2].sandbox, '/run/alias/c1')
    t.equal((await a.call('CHECK', { ...conf, prevResult: result }, { netns: '/run/alias/c1' })).code, 0)
  })

  t.test(
    `[${flavour}] ipv6 "off" keeps the interface free of IPv6, "on" gives it to a layer 2 one`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const disabled = async (name: string) =>
        (
          await host.run('ip', 'netns', 'exec', name, 'sysctl', '-n', 'net.ipv6.conf.eth0.disable_ipv6')
        ).trim()
      const v6Of = async (a: Awaited<ReturnType<typeof pod>>) =>
        (await a.link()).addr_info.filter(({ family }: Json) => family === 'inet6')
      const off = await pod('c1')
      await off.add(bridgeConf('v4', { ipv6: 'off' }))
      t.equal(await disabled('c1'), '1')
      t.same(await v6Of(off), [])
      const { json } = await (await pod('c2')).call('ADD', bridgeConf('v6', { ipv6: 'off' }))
      t.match(json, { code: 7, msg: '"ipv6" is "off", but the IPAM plugin gave out an IPv6 address' })

      for (const [i, one] of [bridgeConf('v6'), layer2Conf({ ipv6: 'on' })].entries()) {
        const a = await pod(`on${i}`)
        await a.run(
          'sysctl',
          '-qw',
          'net.ipv6.conf.default.disable_ipv6=1',
          'net.ipv6.conf.lo.disable_ipv6=1',
        )
        await a.add(one)
        t.equal(await disabled(`on${i}`), '0')
        t.ok((await v6Of(a)).length > 0)
      }
      const auto = await pod('auto')
      await auto.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
      await auto.add(bridgeConf('v4'))
      t.equal(await disabled('auto'), '1', 'left alone without an IPv6 address')
    },
  )

  t.test(`[${flavour}] a kernel without IPv6 connects containers with IPv4`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    // As with ipv6.disable=1 on the kernel's command line.
    await host.sh('mkdir /run/nothing; mount --bind /run/nothing /proc/sys/net/ipv6')
    const result = await a.add(bridgeConf('v4', { isDefaultGateway: true, ipMasq: true }))
    t.ok(await a.pings('10.1.2.1'))
    const one = bridgeConf('v4', { isDefaultGateway: true, ipMasq: true, prevResult: result })
    t.equal((await a.call('CHECK', one)).code, 0)
    t.equal((await a.call('DEL', one)).code, 0)
  })
}
