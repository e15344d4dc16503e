/** Host ports of kubenet: whose one is, what a dead owner left, and the flows of a client that goes on sending. */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'
import { ask, serve } from '../../fixtures/traffic'

const withPorts = (...portMappings: Json[]): Json => kubenetConf({ runtimeConfig: { portMappings } })

const tcp8080 = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
const udp8080 = { ...tcp8080, protocol: 'udp' }
const sctp8080 = { ...tcp8080, protocol: 'SCTP' }

for (const flavour of flavours) {
  t.test(`[${flavour}] a host port has one owner`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await host.netns('rival')
    const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0'
    const web = await node.add('web', withPorts(tcp8080), { args })

    await t.test('a second pod gets an error with its owner, and nothing changes', async t => {
      const before = await host.snapshot()
      for (const [mapping, port] of [
        [tcp8080, '8080/tcp'],
        [{ ...tcp8080, hostIP: '192.0.2.1' }, '8080/tcp of 192.0.2.1'],
        [{ ...tcp8080, hostIP: '2001:db8::2' }, '8080/tcp of 2001:db8::2'],
      ] as const) {
        const { code, json } = await node.call('ADD', 'rival', withPorts(mapping))
        t.match(
          [code, json],
          [1, { code: 7, msg: `host port ${port} is taken by container web (pod shop/web-0)` }],
        )
        t.match(json.details, /^network pods, interface eth0, netns \/run\/netns\/web, /)
      }
      t.equal(await host.snapshot(), before)
      t.equal(await host.sh('ip -n rival -o link | grep -v " lo:" || true'), '')
    })

    await t.test('the other protocol of the same port is another port', async t => {
      const result = await node.call('ADD', 'rival', withPorts(udp8080))
      t.equal(result.code, 0)
      const table = await node.table()
      t.match(table, /tcp \. 8080 comment "pods web eth0" : 10\.244\.1\.2 \. 80/)
      t.match(table, /udp \. 8080 comment "pods rival eth0" : 10\.244\.1\.\d+ \. 80/)
      await node.del('rival', withPorts(udp8080))
    })

    await t.test('so it is with SCTP, whatever sockets the kernel has', async t => {
      for (const [backend, entry] of [
        ['nftables', /sctp \. 8080 comment "pods rival eth0" : 10\.244\.1\.\d+ \. 80/],
        [
          'iptables',
          /sctp dport 8080 .*dnat to 10\.244\.1\.\d+:80|-p sctp .*--dport 8080 .*10\.244\.1\.\d+:80/,
        ],
      ] as const) {
        const conf = { ...withPorts(sctp8080), backend }
        const { code, stdout, json } = await node.call('ADD', 'rival', conf)
        t.equal(code, 0, stdout)
        t.match(await host.sh('nft list ruleset; iptables-save -t nat'), entry, backend)
        t.equal((await node.call('CHECK', 'rival', { ...conf, prevResult: json })).stdout, '')
        await node.del('rival', { ...conf, prevResult: json })
        t.notMatch(await host.sh('nft list ruleset; iptables-save -t nat'), /sctp.*8080/)
      }
    })

    await t.test('a dead owner’s is taken over, and its late DEL takes nothing', async t => {
      await host.run('ip', 'netns', 'del', 'web')
      const { json } = await node.call('ADD', 'rival', withPorts(tcp8080))
      const [address] = json.ips[0].address.split('/')
      const entry = new RegExp(`tcp \\. 8080 comment "pods rival eth0" : ${address} \\. 80`)
      t.match(await node.table(), entry)
      await node.del('web', { ...withPorts(tcp8080), prevResult: web }, { netns: '' })
      t.match(await node.table(), entry)
      t.notMatch(await node.table(), /pods web/)
      t.same((await node.call('CHECK', 'rival', { ...withPorts(tcp8080), prevResult: json })).stdout, '')
      await node.del('rival', withPorts(tcp8080))
    })

    await t.test('an entry that no record tells of is replaced', async t => {
      await node.call('ADD', 'rival', withPorts(tcp8080))
      await host.sh('rm -r /run/kubenet-cni/hostports')
      const { ips } = await node.add('next', withPorts(tcp8080))
      const [address] = ips[0].address.split('/')
      t.match(await node.table(), `tcp . 8080 comment "pods next eth0" : ${address} . 80`)
      await node.del('rival', withPorts(tcp8080))
      t.match(await node.table(), `tcp . 8080 comment "pods next eth0" : ${address} . 80`)
    })
  })

  t.test(
    `[${flavour}] a client that keeps its UDP port reaches the current owner of the host port`,
    async t => {
      const node = await Node.create(t, flavour)
      const { host } = node
      const dns = withPorts({ hostPort: 5353, containerPort: 53, protocol: 'udp' })
      const addresses = [
        ['10.244.1.2', 'fd00:244:1::2'],
        ['10.244.1.3', 'fd00:244:1::3'],
      ]
      const listen = (name: string, index: number) =>
        serve(
          t,
          host,
          name,
          (addresses[index] ?? []).map(address => ({ protocol: 'udp', host: address, port: 53 })),
        )
      const answering = async () => {
        const seen = await ask(host, 'outside', {
          4: { protocol: 'udp', host: '192.0.2.1', port: 5353, localPort: 40_004 },
          6: { protocol: 'udp', host: '2001:db8::1', port: 5353, localPort: 40_006 },
        })
        return [seen[4], seen[6]].map(answer => answer?.on ?? answer?.error)
      }
      await serve(t, host, undefined, [
        { protocol: 'udp', host: '192.0.2.1', port: 5353 },
        { protocol: 'udp', host: '2001:db8::1', port: 5353 },
      ])
      const onHost = ['192.0.2.1:5353', '2001:db8::1:5353']
      t.same(await answering(), onHost)
      const first = await node.add('first', dns)
      await listen('first', 0)
      t.same(await answering(), ['10.244.1.2:53', 'fd00:244:1::2:53'], 'after ADD')
      await node.del('first', { ...dns, prevResult: first })
      t.same(await answering(), onHost, 'after DEL')
      await node.add('second', dns)
      await listen('second', 1)
      t.same(await answering(), ['10.244.1.3:53', 'fd00:244:1::3:53'], 'after the next ADD')
      await node.del('second', kubenetConf(), { netns: '' })
      t.same(await answering(), onHost, 'after DEL without a result')
    },
  )
}
