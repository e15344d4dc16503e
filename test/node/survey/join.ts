/** Whose each object of a node is, told by what it says of itself and by what leads to it. */
import t from 'tap'
import { join } from '../../../node/survey/join'
import type { Lease } from '../../../node/survey/leases'
import type { HostLink } from '../../../node/survey/links'
import type { ContainerInterface } from '../../../node/survey/namespaces'
import type { Network } from '../../../node/survey/networks'
import type { Readings } from '../../../node/survey/readings'
import { shortened } from '../../../src/attachment/attachment'
import { formatAlias } from '../../../src/attachment/interfaces'
import {
  masqueradePrefix,
  spoofCheckComment,
  spoofCheckPrefix,
  spoofCheckRef,
} from '../../../src/attachment/nft-comments'

const veth = (index: number, more: Partial<HostLink> = {}): HostLink =>
  ({
    index,
    name: `veth${index}`,
    alias: '',
    kind: 'veth',
    flags: 1,
    mtu: 1500,
    mac: '02:00:00:00:00:01',
    master: 2,
    peer: 2,
    peerNsid: index,
    group: 0,
    operState: 6,
    promiscuity: 0,
    rxBytes: 0,
    txBytes: 0,
    ...more,
  }) as HostLink

/** The container's end of a veth, in the namespace with the inode 4026530000 + its index. */
const inside = (peer: number, ...addresses: string[]): ContainerInterface => ({
  netns: {
    dev: 4,
    ino: 4026530000 + peer,
    pids: [],
    paths: [`/run/netns/c${peer}`],
  } as unknown as ContainerInterface['netns'],
  index: 2,
  name: 'eth0',
  mtu: 1500,
  mac: '02:00:00:00:00:02',
  up: true,
  peer,
  addresses,
  neighbours: [],
  isLoopbackUp: true,
  leadsOut: [4],
})

const lease = (
  address: string,
  containerID: string | undefined,
  ifName: string | undefined = 'eth0',
): Lease => ({
  network: 'pods',
  dataDir: '/var/lib/cni/networks',
  address,
  containerID,
  ifName,
  madeAt: 0,
  record: undefined,
})

const bridge = { ...veth(2), name: 'cbr0', kind: 'bridge', peerNsid: undefined, master: 0 }
const network = { name: 'pods', bridge: 'cbr0' } as Network

/** A node with this on it, and else with nothing but a network "pods" on bridge cbr0. */
const node = (more: Partial<Readings>): Readings => {
  const empty = {
    networks: [network],
    leases: [],
    cached: [],
    portOwners: [],
    links: [bridge],
    insides: undefined,
    ruleset: undefined,
    iptables: undefined,
    shaping: undefined,
  }
  const read: Partial<Readings> = { ...empty, ...more, links: [bridge, ...(more.links ?? [])] }
  return read as Readings
}

const insides = (...interfaces: ContainerInterface[]) => ({
  byNsid: new Map(interfaces.map(one => [one.peer, [one]])),
  closed: 0,
})

const said = (readings: Readings) =>
  join(readings).drafts.map(({ network, containerID, ifName, leases, veth }) =>
    [network, containerID, ifName, ...leases.map(({ address }) => address), veth?.name]
      .filter(Boolean)
      .join(' '),
  )

t.test('a node without anything has no attachments', async t => {
  t.match(join(node({})), { drafts: [], strangers: [], elements: [], ifbs: [] })
})

t.test('a veth is of the attachment that its alias names', async t => {
  t.same(said(node({ links: [veth(7, { alias: 'cni pods c1 eth0' })], leases: [lease('10.1.2.3', 'c1')] })), [
    'pods c1 eth0 10.1.2.3 veth7',
  ])
})

t.test('a lease without an interface is of the container’s one', async t => {
  const old: Lease = { ...lease('10.1.2.4', 'c1'), ifName: undefined }
  t.same(said(node({ leases: [lease('10.1.2.3', 'c1'), old] })), ['pods c1 eth0 10.1.2.3 10.1.2.4'])
  t.same(said(node({ leases: [old] })), ['pods c1 10.1.2.4'], 'of none that is known otherwise')
})

t.test('a lease that a crash left empty is of no attachment', async t => {
  t.same(said(node({ leases: [lease('10.1.2.3', undefined)] })), [])
})

t.test('a veth without an alias is of the attachment whose address its container has', async t => {
  const links = [veth(7)]
  const leases = [lease('10.1.2.3', 'c1')]
  t.same(said(node({ links, leases, insides: insides(inside(7, '10.1.2.3/24')) })), [
    'pods c1 eth0 10.1.2.3 veth7',
  ])
  t.same(said(node({ links, leases, insides: insides(inside(7, '10.1.2.9/24')) })), ['pods c1 eth0 10.1.2.3'])
  t.same(said(node({ links, leases })), ['pods c1 eth0 10.1.2.3'], 'the container cannot be looked into')
})

t.test('an address that two containers have tells of neither', async t => {
  const readings = node({
    links: [veth(7), veth(8)],
    leases: [lease('10.1.2.3', 'c1')],
    insides: insides(inside(7, '10.1.2.3/24'), inside(8, '10.1.2.3/24')),
  })
  t.same(said(readings), ['pods c1 eth0 10.1.2.3'])
  t.same(
    join(readings).strangers.map(({ name }) => name),
    ['veth7', 'veth8'],
  )
})

t.test('an address never tells of an attachment whose namespace is recorded', async t => {
  const recorded = {
    ...lease('10.1.2.3', 'c1'),
    record: { netns: { dev: 4, ino: 4026530009 } } as unknown as Lease['record'],
  }
  const thief = inside(7, '10.1.2.3/24')
  t.same(said(node({ links: [veth(7)], leases: [recorded], insides: insides(thief) })), [
    'pods c1 eth0 10.1.2.3',
  ])
  const owner = inside(9, '10.1.2.77/24')
  t.same(said(node({ links: [veth(9)], leases: [recorded], insides: insides(owner) })), [
    'pods c1 eth0 10.1.2.3 veth9',
  ])
})

t.test('ports of a bridge that nothing tells of are strangers, except those of the host itself', async t => {
  const { strangers } = join(
    node({
      links: [
        veth(7),
        veth(8, { peer: 3, peerNsid: undefined }),
        veth(9, { master: 0 }),
        veth(10, { alias: 'cni pods c1 eth0' }),
      ],
    }),
  )
  t.same(
    strangers.map(({ name }) => name),
    ['veth7'],
  )
})

t.test('elements and rules go to the attachment that they name', async t => {
  const pod = (comment: string) =>
    ({ kind: 'pod', set: 'pods4-pods', comment, address: '10.1.2.3', network: 'pods' }) as const
  const ruleset = {
    tables: [],
    elements: [pod('pods c1 eth0'), pod('somebody')],
    masquerades: [
      {
        by: 'iptables',
        family: 4,
        network: 'pods',
        containerID: 'c1',
        ifName: undefined,
        address: '10.1.2.4',
        where: 'chain CNI-1',
      } as const,
    ],
    ports: [],
    spoofChecks: [
      { ref: 'c1-eth1', hostName: 'veth8' },
      { ref: 'gone-eth0', hostName: 'veth9' },
    ],
  }
  const { drafts, elements } = join(
    node({ leases: [lease('10.1.2.3', 'c1'), lease('10.1.2.4', 'c1', 'eth1')], ruleset }),
  )
  t.same(
    drafts.map(({ ifName, elements, masquerades, spoofChecks }) => [
      ifName,
      elements.length,
      masquerades.length,
      spoofChecks.length,
    ]),
    [
      ['eth0', 1, 0, 0],
      ['eth1', 0, 1, 1],
    ],
    'the rule that names no interface by its address',
  )
  t.same(
    elements.map(({ comment }) => comment),
    ['somebody'],
  )
})

t.test('an ifb is of the attachment its alias names, or whose veth leads to it', async t => {
  const ifb = (index: number, name: string, alias = '') =>
    veth(index, { kind: 'ifb', name, alias, master: 0 })
  const shaping = { redirects: new Map([[8, 21]]) } as unknown as NonNullable<Readings['shaping']>
  const { drafts, ifbs } = join(
    node({
      links: [
        veth(7, { alias: 'cni pods c1 eth0' }),
        veth(8, { alias: 'cni pods c2 eth0' }),
        ifb(20, 'bwp000000000001', 'cni pods c1 eth0'),
        ifb(21, 'bwp000000000002'),
        ifb(22, 'bwp000000000003'),
        ifb(23, 'ifb0'),
      ],
      shaping,
    }),
  )
  t.same(
    drafts.map(({ containerID, ifbs }) => [containerID, ...ifbs.map(({ name }) => name)]),
    [
      ['c1', 'bwp000000000001'],
      ['c2', 'bwp000000000002'],
    ],
  )
  t.same(
    ifbs.map(({ name }) => name),
    ['bwp000000000003'],
  )
})

t.test('an object with a shortened name belongs to the attachment with that name', async t => {
  const id = { network: 'n'.repeat(90), containerID: 'c'.repeat(150), ifName: 'eth0' }
  const { drafts } = join(
    node({
      leases: [{ ...lease('10.1.2.3', id.containerID), network: id.network }],
      links: [veth(7, { alias: formatAlias(shortened(id)) })],
      ruleset: {
        tables: [],
        elements: [],
        masquerades: [
          {
            by: 'nftables',
            family: 4,
            network: id.network,
            containerID: 'ccc',
            ifName: 'eth0',
            prefix: masqueradePrefix(id),
            address: '10.1.2.3',
            where: 'chain masq_checks',
          },
        ],
        ports: [],
        spoofChecks: [
          { ref: spoofCheckComment(spoofCheckRef(id)).slice(spoofCheckPrefix.length), hostName: 'veth7' },
        ],
      },
    }),
  )
  t.same(
    drafts.map(({ containerID, veth, masquerades, spoofChecks }) => [
      containerID,
      veth?.index,
      masquerades.length,
      spoofChecks.length,
    ]),
    [[id.containerID, 7, 1, 1]],
  )
})
