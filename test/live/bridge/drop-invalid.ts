/** "dropInvalid": nothing leaves with a container's own address that should be masqueraded. */
import t from 'tap'
import { bridgeConf, Pod } from '../../fixtures/bridge'
import { anyFlavour, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const plain = bridgeConf('v4', { isDefaultGateway: true, ipMasq: true, cniVersion: '1.1.0' })
const conf = { ...plain, dropInvalid: true }

const [flavour] = anyFlavour

/** Sends a TCP reset of an unknown connection: perl -e … FROM TO. */
const sendReset = `use Socket; my ($from, $to) = map { inet_aton $_ } @ARGV;
my $tcp = pack "nnNNCCnnn", 40000, 80, 1, 0, 0x50, 4, 0, 0, 0;
my $sum = unpack "%32n*", $from . $to . pack("CCn", 0, 6, 20) . $tcp;
$sum = ($sum & 0xffff) + ($sum >> 16) for 1, 2;
substr($tcp, 16, 2) = pack "n", ~$sum & 0xffff;
socket my $s, AF_INET, SOCK_RAW, 6 or die $!; send $s, $tcp, 0, sockaddr_in(0, $to) or die $!`

t.test(`[${flavour}] dropInvalid`, async t => {
  if (!flavour) return
  const host = await PrivateHost.create(t)
  await host.uplink('out', '203.0.113.1/24')
  await host.sh(`
    ip -n out addr add 203.0.113.2/24 dev eth0; ip -n out addr add 192.0.2.2/24 dev eth0
    ip -n out route add 10.1.2.0/24 via 203.0.113.1; ip route add 192.0.2.0/24 dev out
    ip netns exec out nft 'table ip seen {
      counter own { }
      chain prerouting { type filter hook prerouting priority -300; ip saddr 10.1.2.0/24 tcp flags rst counter name own; }
    }'
  `)
  const pod = await Pod.create(host, { flavour }, 'c1')
  /** How many such resets arrive at the neighbour under the container's own address: 0 or 1. */
  const exposed = async (to: string): Promise<number> => {
    await pod.run('perl', '-e', sendReset, '10.1.2.2', to)
    t.ok(await pod.pings(to), 'what was sent before a ping that was answered has arrived, if at all')
    const text = await host.run('ip', 'netns', 'exec', 'out', 'nft', '-j', 'reset', 'counters')
    return JSON.parse(text).nftables.find((entry: Json) => entry.counter).counter.packets
  }
  const rulesOf = () => host.run('nft', '-s', 'list', 'ruleset')
  const requested = { runtimeConfig: { ips: ['10.1.2.2'] } }

  await t.test('without it such a packet leaves as it is', async t => {
    await pod.add({ ...plain, ...requested })
    t.equal(await exposed('203.0.113.2'), 1)
    await pod.call('DEL', plain)
    t.notMatch(await rulesOf(), /cni_drop_invalid/)
  })

  for (const ipMasqBackend of ['iptables', 'nftables']) {
    await t.test(`with it none does, masquerading by ${ipMasqBackend}`, async t => {
      const one = { ...conf, ...requested, ipMasqBackend, nonMasqueradeCIDRs: ['192.0.2.0/24'] }
      const result = await pod.add(one)
      t.equal(await exposed('203.0.113.2'), 0)
      t.equal(await exposed('192.0.2.2'), 1, 'but to where nothing is masqueraded')
      const check = { ...one, prevResult: result }
      t.equal((await pod.call('CHECK', check)).stdout, '')
      await host.run('nft', 'flush', 'chain', 'inet', 'cni_drop_invalid', 'containers')
      t.match((await pod.call('CHECK', check)).json, {
        code: 999,
        msg: 'masquerade rules are missing',
        details: '2 of 2 rules for 10.1.2.2/24 in table cni_drop_invalid',
      })
      for (let i = 0; i < 2; i++) t.equal((await pod.call('DEL', check)).stdout, '')
    })
  }

  await t.test('the rules are those of the container, and go with DEL and GC', async t => {
    await pod.add({ ...conf, ...requested })
    const table = (rules: string) => `table inet cni_drop_invalid {
	chain containers {${rules}
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state invalid goto containers
	}
}
`
    const listed = () => host.run('nft', '-s', 'list', 'table', 'inet', 'cni_drop_invalid')
    const comment = / comment "[0-9a-f]{16}-[0-9a-f]{16}, net: net, if: eth0, id: c1"/
    const rules = await listed()
    t.match(rules, comment)
    t.equal(rules.replace(comment, ''), table('\n\t\tip saddr 10.1.2.2 ip daddr != 10.1.2.0/24 drop'))
    const valid = [{ containerID: 'c1', ifname: 'eth0' }]
    t.equal((await pod.call('GC', { ...plain, 'cni.dev/valid-attachments': valid })).stdout, '')
    t.equal(await listed(), rules)
    t.equal((await pod.call('GC', { ...plain, 'cni.dev/valid-attachments': [] })).stdout, '')
    t.equal(await listed(), table(''))
    await pod.run('ip', 'link', 'del', 'eth0').catch(() => '')
    await pod.add({ ...conf, ...requested })
    t.equal((await pod.call('DEL', conf)).stdout, '')
    t.equal(await listed(), table(''))
  })
})
