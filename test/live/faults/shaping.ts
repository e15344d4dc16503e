/** bandwidth and loopback: whatever happens at any of their system calls, nothing is left. */
import t from 'tap'
import type { Json } from '../../fixtures/cni'
import { tryFaults } from '../../fixtures/fault-matrix'
import type { Scenario } from '../../fixtures/faults'

const rate = { ingressRate: 8_000_000, ingressBurst: 80_000, egressRate: 8_000_000, egressBurst: 80_000 }

/** The veth of c1, as a bridge plugin made it. */
const veth = `
  ip link add vc1 address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:02 netns c1
  ip link set vc1 up; ip -n c1 link set eth0 up
`

const scenarios: Scenario[] = [
  {
    title: 'bandwidth',
    plugin: 'bandwidth',
    conf: (containerID): Json => ({
      cniVersion: '1.1.0',
      name: 'net',
      type: 'bandwidth',
      runtimeConfig: { bandwidth: rate },
      prevResult: {
        cniVersion: '1.1.0',
        interfaces: [{ name: `v${containerID}` }, { name: 'eth0', sandbox: `/run/netns/${containerID}` }],
        dns: {},
      },
    }),
    setup: `
      ip link add vc2 type veth peer name eth0 netns c2; ip link set vc2 up; ip -n c2 link set eth0 up
      ${veth}
    `,
    // The rate into the container is a queue of its veth, which nothing says whose it was: it goes with the veth.
    ended: `ip link del vc1; ${veth}`,
  },
  {
    title: 'loopback',
    plugin: 'loopback',
    conf: (): Json => ({ cniVersion: '1.1.0', name: 'lo', type: 'loopback' }),
  },
]

for (const scenario of scenarios) t.test(scenario.title, t => tryFaults(t, scenario, 'standalone'))
