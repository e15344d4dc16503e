/** bandwidth and loopback: whatever happens at any of their system calls, nothing is left. */
import t from 'tap'
import type { Json } from '../fixtures/cni'
import { tryFaults } from '../fixtures/fault-matrix'
import type { Scenario } from '../fixtures/faults'

const rate = { ingressRate: 8_000_000, ingressBurst: 80_000, egressRate: 8_000_000, egressBurst: 80_000 }

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
      for i in c1 c2; do
        ip link add v$i type veth peer name eth0 netns $i; ip link set v$i up; ip -n $i link set eth0 up
      done
    `,
  },
  {
    title: 'loopback',
    plugin: 'loopback',
    conf: (): Json => ({ cniVersion: '1.1.0', name: 'lo', type: 'loopback' }),
  },
]

for (const scenario of scenarios) t.test(scenario.title, t => tryFaults(t, scenario, 'standalone'))
