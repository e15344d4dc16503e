/** host-local, called alone: whatever happens at any of its system calls, nothing is left. */
import t from 'tap'
import type { Json } from '../../fixtures/cni'
import { isSoak } from '../../fixtures/extent'
import { tryFaults } from '../../fixtures/fault-matrix'
import type { Scenario } from '../../fixtures/faults'

const conf = (ipam: Json = {}): Json => ({
  cniVersion: '1.1.0',
  name: 'net',
  type: 'bridge',
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]],
    ...ipam,
  },
})

const scenarios: Scenario[] = [
  // In the short form test/live/host-local/crash.ts is enough.
  ...(isSoak ? [{ title: 'host-local', plugin: 'host-local', conf: () => conf() }] : []),
  {
    title: 'host-local with probe',
    plugin: 'host-local',
    conf: () => conf({ probe: 'up0' }),
    // Another host answers for the first address, so ADD must choose another.
    setup: `
      ip netns add lan; ip link add up0 type veth peer name eth0 netns lan; ip link set up0 up
      ip -n lan link set eth0 up; ip -n lan addr add 10.1.2.2/24 dev eth0
      ip addr add 10.1.2.250/24 dev up0
    `,
  },
]

for (const scenario of scenarios) t.test(scenario.title, t => tryFaults(t, scenario, 'standalone'))
