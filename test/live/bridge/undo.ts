import t, { type Test } from 'tap'
import { bridgeConf, hostWithPods, layer2Conf, type Pod, stacks } from '../../fixtures/bridge'
import { anyFlavour, binDir, type CallOptions, type Json } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

const conf = bridgeConf('dual', { isDefaultGateway: true, ipMasq: true })

/**
 * A host on which the bridge and iptables' own chains are there already, as a failed ADD may leave them, and which is
 * otherwise as it was before any container.
 */
const prepare = async (host: PrivateHost): Promise<string> => {
  await host.sh(`
    for i in iptables ip6tables; do $i -t nat -A POSTROUTING -j ACCEPT; $i -t nat -F; done
    ip link add br0 type bridge; ip link set br0 up
    mkdir -p /run/bin /run/path
  `)
  return host.snapshot()
}

/** Puts an executable shell script on the host. */
const script = (host: PrivateHost, path: string, text: string) =>
  host.sh(`cat > ${path} <<'END'\n#!/bin/sh\n${text}\nEND\nchmod +x ${path}`)

/** An ADD must fail in this way and leave nothing; then one without the obstacle must work. */
const failsCleanly = async (
  t: Test,
  { host, a, before }: { host: PrivateHost; a: Pod; before: string },
  attempt: { conf: Json; options?: CallOptions; says: RegExp | string; code?: number },
): Promise<void> => {
  const { code, json, stdout } = await a.call('ADD', attempt.conf, attempt.options)
  t.equal(code, 1)
  t.match(json?.msg ?? stdout, attempt.says)
  if (attempt.code !== undefined) t.equal(json.code, attempt.code)
  t.equal(await host.snapshot(), before, 'the host is as before')
  t.equal(await a.link(), undefined, 'the container too')
}

const retryWorks = async (t: Test, a: Pod): Promise<void> => {
  await a.add(conf)
  for (const gateway of stacks.dual.gateways) t.ok(await a.pings(gateway), `retried: ${gateway}`)
  await a.call('DEL', conf)
}

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] an IPAM plugin that fails is quoted, and nothing is left`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [before, a] = [await prepare(host), await pod('c1')]
    const options = { path: `/run/bin:${binDir(flavour)}` }
    const foreign = { ...conf, ipam: { type: 'foreign' } }
    const result = (more: string) => `cat <<X\n{"cniVersion": "1.0.0", ${more}}\nX`
    const cases: { what: string; text: string; says: RegExp | string; code?: number }[] = [
      {
        what: 'its error object',
        text: 'echo \'{"cniVersion":"1.0.0","code":77,"msg":"pool is dry","details":"come back"}\'; exit 1',
        says: 'pool is dry',
        code: 77,
      },
      { what: 'silence', text: 'exit 3', says: 'netplugin failed with no error message: exit status 3' },
      {
        what: 'words on stderr',
        text: 'echo oops >&2; exit 3',
        says: 'netplugin failed: "oops\\n": exit status 3',
      },
      { what: 'no JSON', text: 'echo garbage', says: 'the result of plugin "foreign" is not JSON', code: 6 },
      { what: 'nothing', text: 'true', says: 'the result of plugin "foreign" is not JSON', code: 6 },
      { what: 'no addresses', text: result('"ips": []'), says: 'IPAM plugin returned missing IP config' },
      {
        what: 'an unknown version',
        text: 'echo \'{"cniVersion":"7.0.0"}\'',
        says: /unknown CNI version "7.0.0"/,
      },
      {
        what: 'an address that is none',
        text: result('"ips": [{"address": "10.1.2"}]'),
        says: /ips.0.address/,
        code: 6,
      },
      {
        what: 'an address the kernel refuses',
        text: result('"ips": [{"address": "ff02::1/64"}]'),
        says: /^add ff02::1\/64 to "eth0"/,
      },
      {
        what: 'a route the kernel refuses',
        text: result(
          '"ips": [{"address": "10.1.2.2/24"}], "routes": [{"dst": "192.0.2.0/24", "gw": "10.99.0.1"}]',
        ),
        says: /^add the route to 192\.0\.2\.0\/24 via 10\.99\.0\.1: ENETUNREACH$/,
      },
      {
        what: 'an IPv6 route the kernel refuses',
        text: result(
          '"ips": [{"address": "fd00:2::2/64"}], "routes": [{"dst": "2001:db8::/32", "gw": "fd00:9::1"}]',
        ),
        says: /^add the route to 2001:db8::\/32 via fd00:9::1: EHOSTUNREACH$/,
      },
    ]
    for (const { what, text, ...expected } of cases) {
      await t.test(what, async t => {
        await script(host, '/run/bin/foreign', `[ $CNI_COMMAND = ADD ] || exit 0\n${text}`)
        await failsCleanly(t, { host, a, before }, { conf: foreign, options, ...expected })
      })
    }
    await retryWorks(t, a)
  })

  t.test(`[${flavour}] an IPAM plugin of an older version gives what it can say`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await prepare(host)
    const old =
      '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.9/24","gateway":"10.1.2.1","routes":[{"dst":"0.0.0.0/0"}]}}'
    await script(host, '/run/bin/foreign', `echo '${old}'`)
    const a = await pod('c1')
    const result = await a.add({ ...conf, ipam: { type: 'foreign' } }, { path: '/run/bin' })
    t.same(result.ips, [{ interface: 2, address: '10.1.2.9/24', gateway: '10.1.2.1' }])
    t.ok(await a.pings('10.1.2.1'))
  })

  t.test(`[${flavour}] a foreign IPAM plugin's address is given back when a later step fails`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [before, a] = [await prepare(host), await pod('c1')]
    const answer =
      '{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.2/24"}],"routes":[{"dst":"192.0.2.0/24","gw":"10.9.9.9"}]}'
    await script(
      host,
      '/run/bin/foreign',
      `echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS" >> /run/calls; cat > /run/stdin.$CNI_COMMAND
[ $CNI_COMMAND = ADD ] && echo '${answer}'; true`,
    )
    const options = { path: '/run/bin', args: 'IgnoreUnknown=1;A=b' }
    const foreign = { ...conf, ipam: { type: 'foreign', x: 1 } }
    await failsCleanly(t, { host, a, before }, { conf: foreign, options, says: /ENETUNREACH/ })
    t.equal(
      await host.sh('cat /run/calls'),
      'ADD c1 eth0 IgnoreUnknown=1;A=b\nDEL c1 eth0 IgnoreUnknown=1;A=b\n',
    )
    t.same(JSON.parse(await host.sh('cat /run/stdin.DEL')), foreign)
  })

  t.test(`[${flavour}] no address left: the other containers keep theirs`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await prepare(host)
    const small = { ...conf, ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/30' }]] } }
    const [a, b] = [await pod('c1'), await pod('c2')]
    await a.add(small)
    const before = await host.snapshot()
    await failsCleanly(
      t,
      { host, a: b, before },
      { conf: small, says: /no IP addresses available in range set/ },
    )
    t.ok(await a.pings('10.1.2.1'))
    await a.call('DEL', small)
    await b.add(small)
  })

  for (const program of ['iptables-restore', 'ip6tables-restore']) {
    t.test(`[${flavour}] ${program} fails`, async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const [before, a] = [await prepare(host), await pod('c1')]
      await script(host, `/run/path/${program}`, 'echo "it will not have it" >&2; exit 2')
      const env = { PATH: '/run/path:/usr/sbin:/usr/bin:/sbin:/bin' }
      await failsCleanly(
        t,
        { host, a, before },
        { conf, options: { env }, says: new RegExp(`${program}.*: exit code 2`) },
      )
      await retryWorks(t, a)
    })
  }

  t.test(`[${flavour}] sysctls that cannot be set`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh('sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0')
    const [before, a] = [await prepare(host), await pod('c1')]
    await a.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
    await host.sh('mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys')
    const inContainer = /^set sysctl net\.ipv6\.conf\.eth0\.disable_ipv6 to 0$/
    await failsCleanly(t, { host, a, before }, { conf, says: inContainer })
    const v4 = bridgeConf('v4', { isGateway: true })
    const { json } = await a.call('ADD', v4)
    t.match(json, { msg: 'set sysctl net.ipv4.ip_forward to 1', details: /EROFS/ })
    t.equal(await a.link(), undefined)
    await host.sh('umount /proc/sys')
    await retryWorks(t, a)
  })

  t.test(`[${flavour}] the store cannot be written`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [before, a] = [await prepare(host), await pod('c1')]
    await host.sh('mount -o remount,ro /var/lib/cni')
    await failsCleanly(t, { host, a, before }, { conf, says: /./ })
    await host.sh('mount -o remount,rw,size=4k,nr_inodes=4 /var/lib/cni')
    await failsCleanly(t, { host, a, before }, { conf, says: /./ })
    await host.sh('mount -o remount,size=10m,nr_inodes=1000 /var/lib/cni')
    await retryWorks(t, a)
  })

  t.test(`[${flavour}] VLANs on a kernel whose bridges know none`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const knows = await host.exec(['ip', 'link', 'add', 'x', 'type', 'bridge', 'vlan_filtering', '1'])
    if (knows.code === 0) {
      t.plan(0, 'the bridges of this kernel know VLANs')
      return
    }
    const says = '"vlan" and "vlanTrunk": this kernel\'s bridges know no VLANs'
    const fresh = await (await pod('fresh')).call('ADD', { ...conf, vlan: 100 })
    t.match(fresh.json, { code: 2, msg: says })
    t.same(
      (await host.json('ip', 'link')).map(({ ifname }) => ifname),
      ['lo'],
      'not even the bridge is made',
    )
    const [before, a] = [await prepare(host), await pod('c1')]
    for (const more of [{ vlan: 100 }, { vlanTrunk: [{ id: 5 }] }]) {
      await failsCleanly(t, { host, a, before }, { conf: { ...conf, ...more }, says, code: 2 })
      await failsCleanly(t, { host, a, before }, { conf: layer2Conf(more), says, code: 2 })
    }
    await retryWorks(t, a)
  })
}
