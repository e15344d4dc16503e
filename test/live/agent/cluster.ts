/** A cluster of several nodes on this machine: their pods reach each other, whatever happens to nodes and API server. */
import t from 'tap'
import { Cluster } from '../../fixtures/cluster/cluster'
import { tellStory } from '../../fixtures/cluster/story'
import { flavours } from '../../fixtures/cni'

// A node of this kind starts in half of the time; that both kinds are the same is shown by the agent's other tests.
const [flavour = 'standalone'] = flavours

t.test(
  `[${flavour}] a cluster's pods reach each other while nodes and the API server come and go`,
  async t => {
    const told: string[] = []
    const cluster = await Cluster.create(t, { flavour, folder: t.testdir({}) })
    await tellStory(cluster, 2, text => told.push(text))
    t.same(told, [
      'n1: pods get addresses of 10.244.1.0/24, fd00:244:1::/64',
      '  10.244.2.0/24 via 192.0.2.2',
      '  fd00:244:2::/64 via 2001:db8::2',
      'n2: pods get addresses of 10.244.2.0/24, fd00:244:2::/64',
      '  10.244.1.0/24 via 192.0.2.1',
      '  fd00:244:1::/64 via 2001:db8::1',
      'pod web on n1: 10.244.1.2, fd00:244:1::2',
      'pod web on n2: 10.244.2.2, fd00:244:2::2',
      'all pods ping each other: 4 answers',
      'n3 joins: every node has 4 routes',
      'pod web on n3: 10.244.3.2, fd00:244:3::2',
      'all pods ping each other: 12 answers',
      'n2 gets other ranges: refused, the ranges change from 10.244.2.0/24,fd00:244:2::/64 to ' +
        '10.244.202.0/24,fd00:244:202::/64, which leaves 2 addresses of running pods behind (10.244.2.2 of ' +
        'cnitool-82e215debf7df4651d36, fd00:244:2::2 of cnitool-82e215debf7df4651d36); drain the node, delete the pods of ' +
        'DaemonSets that still have old addresses, and run "kubenet gc kubenet --yes --all" for containers that ' +
        'ended, or use --allow-cidr-change',
      'n2 is drained: pods get addresses of 10.244.202.0/24, fd00:244:202::/64',
      'pod web on n2: 10.244.202.2, fd00:244:202::2',
      'all pods ping each other: 12 answers',
      'the API server is away; a pod starts all the same: 10.244.1.3, fd00:244:1::3',
      'all pods ping each other: 24 answers',
      'the API server is back, and n4 with it: every node has 6 routes',
      'n4 is deleted: no node has a route to it',
      'all pods ping each other: 24 answers',
      'all agents get SIGTERM: exit codes 0 0 0',
      'all pods ping each other: 24 answers',
    ])
  },
)
