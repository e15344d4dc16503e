/** Which Service has a ClusterIP or a NodePort, by the rules of kube-proxy. The texts are kube-proxy's own. */
import t from 'tap'
import { servicesInIptables, servicesInNft } from '../../../cli/why/services'
import type { Iptables } from '../../../node/survey/iptables'

const nat = `
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU
-A KUBE-SERVICES ! -s 10.244.0.0/16 -d 10.96.7.7/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d 10.96.7.7/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-LOLE4ISW44XBNF3G
-A KUBE-SERVICES -d 203.0.113.7/32 -p tcp -m comment --comment "default/web external IP" -m tcp --dport 80 -j KUBE-EXT-LOLE4ISW44XBNF3G
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web" -m tcp --dport 30080 -j KUBE-EXT-LOLE4ISW44XBNF3G
-A KUBE-EXT-LOLE4ISW44XBNF3G -m comment --comment "masquerade traffic for default/web external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-LOLE4ISW44XBNF3G -j KUBE-SVC-LOLE4ISW44XBNF3G
-A KUBE-SVC-LOLE4ISW44XBNF3G ! -s 10.244.0.0/16 -d 10.96.7.7/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-LOLE4ISW44XBNF3G -m comment --comment "default/web -> 10.244.1.2:80" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SVC-LOLE4ISW44XBNF3G -m comment --comment "default/web -> 10.244.2.7:80" -j KUBE-SEP-BBBBBBBBBBBBBBBB
-A KUBE-SEP-AAAAAAAAAAAAAAAA -s 10.244.1.2/32 -m comment --comment "default/web" -j KUBE-MARK-MASQ
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m comment --comment "default/web" -m tcp -j DNAT --to-destination 10.244.1.2:80
-A KUBE-SEP-BBBBBBBBBBBBBBBB -p tcp -m comment --comment "default/web" -m tcp -j DNAT --to-destination 10.244.2.7:80
-A KUBE-SVC-TCOU7JCQXEZGVUNU -m comment --comment "kube-system/kube-dns:dns" -j KUBE-SEP-CCCCCCCCCCCCCCCC
-A KUBE-SEP-CCCCCCCCCCCCCCCC -p udp -m comment --comment "kube-system/kube-dns:dns" -m udp -j DNAT --to-destination 10.244.1.3:53
`
const filter = `
-A KUBE-SERVICES -d 10.96.9.9/32 -p tcp -m comment --comment "default/none has no endpoints" -m tcp --dport 81 -j REJECT --reject-with icmp-port-unreachable
`

const linesOf = (text: string) => text.split('\n').filter(line => line !== '')

t.test('iptables: ClusterIP, NodePort, external address, and a Service without endpoints', async t => {
  const tables: Iptables['tables'] = new Map([
    ['nat', { policies: new Map(), rules: linesOf(nat) }],
    ['filter', { policies: new Map(), rules: linesOf(filter) }],
  ])
  const web = ['10.244.1.2:80', '10.244.2.7:80']
  t.same(
    servicesInIptables([{ variant: 'nf_tables', family: 4, tables, unlisted: [] }]).map(
      ({ service, kind, address, protocol, port, endpoints }) => [
        service,
        kind,
        address,
        protocol,
        port,
        endpoints,
      ],
    ),
    [
      ['kube-system/kube-dns:dns', 'ClusterIP', '10.96.0.10', 'udp', 53, ['10.244.1.3:53']],
      ['default/web', 'ClusterIP', '10.96.7.7', 'tcp', 80, web],
      ['default/web', 'external address', '203.0.113.7', 'tcp', 80, web],
      ['default/web', 'NodePort', undefined, 'tcp', 30080, web],
      ['default/none', 'ClusterIP', '10.96.9.9', 'tcp', 81, []],
    ],
  )
})

t.test('nftables: by the names of the chains that the maps lead to', async t => {
  const goto = (target: string) => ({ goto: { target } })
  const map = (name: string, elem: unknown[]) => ({ map: { family: 'ip', table: 'kube-proxy', name, elem } })
  const chain = (name: string) => ({ chain: { family: 'ip', table: 'kube-proxy', name } })
  const text = JSON.stringify({
    nftables: [
      chain('endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80'),
      chain('endpoint-WAHRBT2B-ns2/svc2/tcp/p80__10.180.0.2/80'),
      chain('service-ULMVA6XW-ns1/svc1/tcp/p80'),
      map('service-ips', [
        [{ concat: ['172.30.0.41', 'tcp', 80] }, goto('service-ULMVA6XW-ns1/svc1/tcp/p80')],
        [{ concat: ['192.168.99.22', 'tcp', 80] }, goto('external-42NFTM6N-ns2/svc2/tcp/p80')],
      ]),
      map('service-nodeports', [[{ concat: ['tcp', 3001] }, goto('external-42NFTM6N-ns2/svc2/tcp/p80')]]),
      map('no-endpoint-services', []),
    ],
  })
  t.same(
    servicesInNft(text).map(({ service, kind, address, port, endpoints }) => [
      service,
      kind,
      address,
      port,
      endpoints,
    ]),
    [
      ['ns1/svc1:p80', 'ClusterIP', '172.30.0.41', 80, ['10.180.0.1:80']],
      ['ns2/svc2:p80', 'external address', '192.168.99.22', 80, ['10.180.0.2:80']],
      ['ns2/svc2:p80', 'NodePort', undefined, 3001, ['10.180.0.2:80']],
    ],
  )
})
