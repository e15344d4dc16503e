/** host-local, called alone: whatever happens at any of its system calls, nothing is left. */
import t from 'tap'
import type { Json } from '../fixtures/cni'
import { tryFaults } from '../fixtures/fault-matrix'
import type { Scenario } from '../fixtures/faults'

const scenario: Scenario = {
  title: 'host-local',
  plugin: 'host-local',
  conf: (): Json => ({
    cniVersion: '1.1.0',
    name: 'net',
    type: 'bridge',
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]] },
  }),
}

t.test(scenario.title, t => tryFaults(t, scenario, 'standalone'))
