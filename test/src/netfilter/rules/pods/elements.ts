/** Which elements stand for a pod in kubenet's table. Nodes have them by these sets and keys, so they never change. */
import t from 'tap'
import type { KubenetConf } from '../../../../../plugins/kubenet/config'
import { parseAddr } from '../../../../../src/ip/addr'
import { literalCidr } from '../../../../../src/ip/cidr'
import type { HostPorts, PortMapping } from '../../../../../src/netfilter/rules/hostports/hostports'
import {
  formatPlaced,
  placeOfClaim,
  podElements,
  portElements,
} from '../../../../../src/netfilter/rules/pods/nft-rules'
import type { Placed } from '../../../../../src/netfilter/rules/pods/pods'

const addr = (text: string) => {
  const parsed = parseAddr(text)
  if (!parsed) throw new Error(`${text} is no address`)
  return parsed
}

const conf: KubenetConf = {
  network: 'pods',
  podCIDRs: [literalCidr('10.244.1.0/24'), literalCidr('fd00::/64')],
  runtimeRanges: [],
  nonMasquerade: [literalCidr('10.0.0.0/8'), literalCidr('fd00::/8')],
  mtu: undefined,
  mtuOverhead: 0,
  hairpinMode: 'hairpin-veth',
  bridge: 'cbr0',
  dataDir: undefined,
  backend: 'auto',
  noNewPods: undefined,
}

const comment = 'pods c1 eth0'
const pod = [addr('10.244.1.2'), addr('fd00::2')]

/** Each as nft lists it: "10.244.1.2 in pods4-pods", and where a port leads to. */
const lines = (placed: readonly Placed[]): string[] =>
  placed.map(one => {
    const { data = [] } = one.element
    return [
      formatPlaced(one),
      ...(data.length > 0 ? [formatPlaced({ ...one, element: { key: data } })] : []),
    ].join(' : ')
  })

t.test('a pod is masqueraded by its address, in the set of its network and family', async t => {
  const placed = podElements({ net: conf, addresses: pod }, comment)
  t.same(lines(placed), ['10.244.1.2 in pods4-pods', 'fd00::2 in pods6-pods'])
  t.same(
    placed.map(({ element }) => element.comment),
    [comment, comment],
  )
})

t.test('a family that is exempt as a whole has no element', async t => {
  const exempt = (...networks: string[]) => ({ ...conf, nonMasquerade: networks.map(literalCidr) })
  t.same(lines(podElements({ net: exempt('0.0.0.0/0'), addresses: pod }, comment)), ['fd00::2 in pods6-pods'])
  t.same(lines(podElements({ net: exempt('::/0', '10.0.0.0/8'), addresses: pod }, comment)), [
    '10.244.1.2 in pods4-pods',
  ])
  t.same(lines(podElements({ net: exempt('0.0.0.0/0', '::/0'), addresses: pod }, comment)), [])
})

const port = (hostPort: number, more: Partial<PortMapping> = {}): PortMapping => ({
  protocol: 'tcp',
  hostPort,
  containerPort: 80,
  hostIP: undefined,
  onlyFamily: undefined,
  ...more,
})

const ports = (mappings: readonly PortMapping[]): HostPorts => ({
  network: 'pods',
  containerID: 'c1',
  ifName: 'eth0',
  mappings,
  addresses: [
    { addr: addr('10.244.1.2'), prefix: 24 },
    { addr: addr('fd00::2'), prefix: 64 },
  ],
  snat: true,
  masqAll: false,
  markBit: 13,
  externalSetMarkChain: undefined,
  conditions: { 4: [], 6: [] },
})

t.test('a port leads to the pod’s address of each family that the mapping is for', async t => {
  t.same(lines(portElements(ports([port(8080)]), comment)), [
    'tcp . 8080 in hostports4 : 10.244.1.2 . 80 in hostports4',
    'tcp . 8080 in hostports6 : fd00::2 . 80 in hostports6',
  ])
  const v6 = port(53, { protocol: 'udp', onlyFamily: 6 })
  t.same(lines(portElements(ports([v6]), comment)), ['udp . 53 in hostports6 : fd00::2 . 80 in hostports6'])
})

t.test('a port that is open on one address of the host is in a map of its own', async t => {
  const one = port(8080, { protocol: 'sctp', hostIP: addr('192.0.2.1'), onlyFamily: 4 })
  const [placed] = portElements(ports([one]), comment)
  t.equal(placed && formatPlaced(placed), '192.0.2.1 . sctp . 8080 in hostips4')
  t.equal(placed?.element.comment, comment)
})

t.test('a claim of a port tells where its element is', async t => {
  const place = (claim: string) => {
    const found = placeOfClaim(claim)
    return found && formatPlaced({ set: found.set, element: { key: found.key } })
  }
  t.equal(place('tcp-8080/any4'), 'tcp . 8080 in hostports4')
  t.equal(place('udp-53/any6'), 'udp . 53 in hostports6')
  t.equal(place('tcp-8080/192.0.2.1'), '192.0.2.1 . tcp . 8080 in hostips4')
  t.equal(place('sctp-9/2001:db8::1'), '2001:db8::1 . sctp . 9 in hostips6')
  for (const claim of ['', 'tcp-8080', 'icmp-8/any4', 'tcp-http/any4', 'tcp-8080/any5', 'tcp-8080/192.0.2'])
    t.equal(place(claim), undefined, claim)
})
