/** An IPAM plugin whose ADD fails is called with DEL: SPEC.md, section 4. What it leaves only that one can give back. */
import t from 'tap'
import { bridgeConf, hostWithPods, layer2Conf } from '../../fixtures/bridge'
import { anyFlavour, binDir } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'
import type { PrivateHost } from '../../fixtures/private-host'

/** An IPAM plugin that has a lease at once and then does `rest` for ADD; each call's verb goes into a log. */
const ipamPlugin = (host: PrivateHost, rest: string, del = 'rm -f /run/ipam/lease') =>
  host.sh(`mkdir -p /run/ipam; rm -f /run/ipam/*; cat > /run/ipam/pool <<'END'
#!/bin/sh
cat > /run/ipam/stdin.$CNI_COMMAND
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS" >> /run/ipam/log
case $CNI_COMMAND in
ADD) touch /run/ipam/lease; ${rest};;
DEL) ${del};;
esac
END
chmod +x /run/ipam/pool`)

const error = (code: number, msg: string) => `echo '{"code": ${code}, "msg": "${msg}"}'; exit 1`

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] leftovers of a failed IPAM plugin are removed`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const conf = layer2Conf({ ipam: { type: 'pool', color: 'blue' } })
    const options = { path: `/run/ipam:${binDir(flavour)}`, args: 'IgnoreUnknown=1;A=b' }
    await host.run('ip', 'link', 'add', 'br0', 'up', 'type', 'bridge')
    const before = await host.snapshot()
    const cases: [what: string, add: string, code: number, msg: RegExp][] = [
      ['an error object', error(77, 'the pool is dry'), 77, /^the pool is dry$/],
      ['an answer that is none', 'echo what', 6, /is not JSON$/],
      ['silence', 'exit 0', 6, /is not JSON$/],
      ['a result without addresses', 'echo "{}"', 999, /^IPAM plugin returned missing IP config$/],
      ['its death', 'kill -9 $$', 999, /^netplugin failed with no error message: exit status 137$/],
      ['code 3, which other verbs need not clean up after', error(3, 'who'), 3, /^who$/],
    ]
    for (const [what, add, code, msg] of cases) {
      await ipamPlugin(host, add)
      const answer = await a.call('ADD', conf, options)
      t.match(answer.json, { code, msg }, what)
      t.equal(answer.stderr, '', what)
      const line = `c1 eth0 ${a.netns} IgnoreUnknown=1;A=b\n`
      t.equal(await host.sh('cat /run/ipam/log'), `ADD ${line}DEL ${line}`, `${what}: its DEL comes once`)
      await host.sh('cmp /run/ipam/stdin.ADD /run/ipam/stdin.DEL; [ ! -e /run/ipam/lease ]')
      t.equal(await host.snapshot(), before, what)
      t.equal(await a.link(), undefined, what)
    }
  })

  t.test(`[${flavour}] a DEL that fails as well does not hide why ADD failed`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const conf = layer2Conf({ ipam: { type: 'pool' } })
    const options = { path: `/run/ipam:${binDir(flavour)}` }
    await ipamPlugin(host, error(11, 'the pool is dry'), error(5, 'the disk is full'))
    const answer = await a.call('ADD', conf, options)
    t.match(answer.json, { code: 11, msg: 'the pool is dry' })
    t.equal(answer.stderr, 'undo: free the addresses: the disk is full\n')
    await ipamPlugin(host, error(7, 'no such key'), error(7, 'no such key'))
    const same = await a.call('ADD', conf, options)
    t.match(same.json, { code: 7, msg: 'no such key' })
    t.equal(same.stderr, '', 'the same warning is not repeated')
    const missing = await a.call('ADD', layer2Conf({ ipam: { type: 'none' } }), options)
    t.match(missing.json, { code: 7, msg: /^failed to find plugin "none"/ })
    t.equal(missing.stderr, '', 'a plugin that was never called has nothing to give back')
  })

  t.test(`[${flavour}] host-local in the same process, of bridge and of kubenet`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    const leases = async () =>
      (await host.sh('find /var/lib/cni/networks -name "1*" -o -name "fd*" | sort')).trim()
    await host.netns('c1')
    // The second range is full: the first has given an address by then.
    const wishes = { runtimeConfig: { ips: ['10.244.1.9', 'fd00:244:1::ffff:ffff'] } }
    const full = kubenetConf({ podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/126'], ...wishes })
    const { json } = await node.call('ADD', 'c1', full)
    t.match(json, { code: 7, msg: /^failed to allocate all requested IPs: fd00:244:1::ffff:ffff/ })
    t.equal(await leases(), '')
  })

  t.test(`[${flavour}] a second ADD into another namespace leaves the first its address`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const conf = bridgeConf('v4', { isGateway: true })
    const [first, second] = [await pod('c1'), await pod('other')]
    await first.add(conf)
    const { json } = await second.call('ADD', conf, { containerID: 'c1' })
    t.match(json, { code: 7, msg: /10\.1\.2\.2 has been allocated to c1/ })
    t.equal((await host.sh('ls /var/lib/cni/networks/net | grep ^10')).trim(), '10.1.2.2')
    t.ok(await first.pings('10.1.2.1'))
  })
}
