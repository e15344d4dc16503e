/** No address in use is given out: of running containers whose leases were lost, and of other machines. */
import t from 'tap'
import { bridgeConf, Pod } from '../../fixtures/bridge'
import { type Answer, anyFlavour, type Json } from '../../fixtures/cni'
import { leasesOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const [flavour] = anyFlavour

const addressesOf = (result: Json): string[] => result.ips.map(({ address }: Json) => address.split('/')[0])

t.test(`[${flavour}] running containers keep their addresses when the leases are lost`, async t => {
  if (!flavour) return
  const host = await PrivateHost.create(t)
  const conf = bridgeConf('dual', { isGateway: true, cniVersion: '1.1.0' })
  const names = Array.from({ length: 8 }, (_, i) => `c${i}`)
  const pods = await Promise.all([...names, 'other'].map(name => Pod.create(host, { flavour }, name)))
  const [old, young, other] = [pods.slice(0, 4), pods.slice(4, 8), pods[8]]
  const results: Json[] = []
  for (const pod of old) results.push(await pod.add(conf))
  // One of another network on the same bridge has nothing to do with it.
  await other?.add({
    ...conf,
    isGateway: false,
    name: 'other',
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.7.0.0/24' }]] },
  })

  for (const lost of ['rm -rf /var/lib/cni/networks', 'rm /var/lib/cni/networks/net/*']) {
    await host.sh(lost)
    const answers: Answer[] = await Promise.all(young.map(pod => pod.call('ADD', conf)))
    t.same(
      answers.filter(({ code }) => code !== 0).map(({ stdout }) => stdout),
      [],
    )
    t.match(
      answers.map(({ stderr }) => stderr).join(''),
      'leases of 4 running container(s) on "net" were missing',
    )
    const all = [...results, ...answers.map(({ json }) => json)].flatMap(addressesOf)
    t.equal(new Set(all).size, 16, `${lost}: no address twice`)
    t.equal((await leasesOn(host)).length, 16)
    for (const pod of young) t.equal((await pod.call('DEL', conf)).stdout, '')
  }
  for (const [i, pod] of old.entries()) {
    t.equal((await pod.call('CHECK', { ...conf, prevResult: results[i] })).stdout, '', pod.name)
    t.equal((await pod.call('DEL', conf)).stdout, '')
  }
  t.same(await leasesOn(host), [])
})

t.test(`[${flavour}] leases that were lost are all written again, or ADD fails`, async t => {
  if (!flavour) return
  const host = await PrivateHost.create(t)
  const conf = bridgeConf('v4', { isGateway: true, cniVersion: '1.1.0' })
  const [old, young] = await Promise.all(['c1', 'c2'].map(name => Pod.create(host, { flavour }, name)))
  if (!old || !young) return
  await old.add(conf)
  for (let i = 3; i <= 60; i++) await old.run('ip', 'addr', 'add', `10.1.2.${i}/24`, 'dev', 'eth0')
  const folder = '/var/lib/cni/networks'

  await host.sh(`rm -r ${folder}/*; mount -t tmpfs -o nr_inodes=40 tmpfs ${folder}`)
  t.match((await young.call('ADD', conf)).json, { code: 5, msg: /^ENOSPC/ })
  t.same(await leasesOn(host), [], 'no part of them stays')
  await host.sh(`mount -o remount,nr_inodes=0 ${folder}`)
  const first = await young.call('ADD', conf)
  t.match(first.json.ips, [{ address: '10.1.2.61/24' }], first.stdout)
  t.equal((await young.call('DEL', conf)).stdout, '')

  const losses = {
    'a command was killed that was writing them': `rm ${folder}/net/last_reserved_ip.0 ${folder}/net/10.1.2.[2-4]*`,
    'the folder was emptied': `rm ${folder}/net/*`,
    'it is gone': `rm -r ${folder}/net`,
  }
  for (const [title, loss] of Object.entries(losses)) {
    await host.sh(loss)
    t.equal((await young.call('STATUS', conf)).code, 0, 'STATUS may come first')
    t.match((await young.call('ADD', conf)).json.ips, [{ address: '10.1.2.61/24' }], title)
    t.equal((await leasesOn(host)).length, 60, title)
    t.equal((await young.call('DEL', conf)).stdout, '')
  }
})

t.test(`[${flavour}] with probe, addresses in use are skipped`, async t => {
  if (!flavour) return
  const host = await PrivateHost.create(t)
  const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]]
  const conf = bridgeConf('dual', { isGateway: true, ipam: { type: 'host-local', ranges, probe: 'br0' } })
  const [a, b, c] = await Promise.all(['c1', 'c2', 'c3'].map(name => Pod.create(host, { flavour }, name)))
  if (!a || !b || !c) return
  // Not one of ours: a machine on the same wire, with addresses that are in the ranges.
  await host.sh(`
    ip netns add wire; ip link add br0 type bridge; ip link add w0 type veth peer name eth0 netns wire
    sysctl -qw net.ipv6.conf.br0.accept_dad=0; ip link set w0 master br0 up; ip link set br0 up
    ip netns exec wire sysctl -qw net.ipv6.conf.eth0.accept_dad=0
    ip -n wire link set eth0 up; ip -n wire addr add 10.1.2.2/24 dev eth0; ip -n wire addr add fd00:2::3/64 dev eth0 nodad
    ip -n wire addr add 10.1.2.77/24 dev eth0
  `)
  const { code, json, stdout, stderr } = await a.call('ADD', conf)
  t.equal(code, 0, stdout)
  t.same(addressesOf(json), ['10.1.2.4', 'fd00:2::4'], 'both are chosen again where one is in use')
  t.match(stderr, /host-local: 10\.1\.2\.2 is skipped: [0-9a-f:]{17} answers for it on "br0"/)
  t.match(stderr, /host-local: fd00:2::3 is skipped: /)
  t.same(await leasesOn(host), ['10.1.2.4', 'fd00:2::4'], 'nothing is leased beside them')
  t.ok(await a.pings('10.1.2.1'))

  const asking = await b.call('ADD', { ...conf, runtimeConfig: { ips: ['10.1.2.77'] } })
  t.match(asking.json, {
    code: 11,
    msg: 'requested IP address 10.1.2.77 is in use',
    details: /^[0-9a-f:]{17} answers for it on "br0"$/,
  })
  t.same(await leasesOn(host), ['10.1.2.4', 'fd00:2::4'])
  t.equal(
    (await host.run('ip', 'neigh', 'show', 'dev', 'br0', 'nud', 'failed', 'nud', 'incomplete')).trim(),
    '',
  )

  // Two networks share the bridge and the ranges, and know nothing of each other's leases.
  const twin = await Pod.create(host, { flavour }, 'twin')
  const answer = await twin.call('ADD', { ...conf, name: 'twin' })
  t.same(addressesOf(answer.json), ['10.1.2.5', 'fd00:2::5'], answer.stdout)
  const mac = json.interfaces[2].mac
  t.match(answer.stderr, `10.1.2.4 is skipped: ${mac} answers for it on "br0"`, 'the first one’s')

  const elsewhere = { ...conf, ipam: { ...conf.ipam, probe: 'absent0' } }
  t.equal((await c.call('ADD', elsewhere)).code, 0, 'ADD does not wait for an interface that does not exist')
})

t.test(
  `[${flavour}] an address of the bridge itself is not given out, whatever the bridge is for`,
  async t => {
    if (!flavour) return
    const host = await PrivateHost.create(t)
    const pod = await Pod.create(host, { flavour }, 'c1')
    // The bridge of a wire that the host is on, with the address that would be the next in turn.
    await host.sh('ip link add br0 type bridge; ip addr add 10.1.2.2/24 dev br0; ip link set br0 up')
    const ipam = { type: 'host-local', subnet: '10.1.2.0/29', exclude: ['10.1.2.3'] }
    const conf = bridgeConf('v4', { isGateway: false, cniVersion: '1.1.0', ipam })
    t.same(addressesOf(await pod.add(conf)), ['10.1.2.4'])
    const asking = await Pod.create(host, { flavour }, 'c2')
    const { json } = await asking.call('ADD', { ...conf, runtimeConfig: { ips: ['10.1.2.2'] } })
    t.match(json, {
      code: 7,
      msg: /requested ip 10\.1\.2\.2 is excluded/,
      details: /the bridge itself has it/,
    })
    // Of six, one is the gateway's, one the host's, one excluded, and the rest are leased.
    for (const name of ['c3', 'c4']) await (await Pod.create(host, { flavour }, name)).add(conf)
    t.match((await asking.call('STATUS', conf)).json, { code: 50 })
  },
)
