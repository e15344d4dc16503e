/** bridge with host-local: whatever happens at any of its system calls, nothing is left. */
import t from 'tap'
import type { Flavour } from '../fixtures/cni'
import { tryFaults } from '../fixtures/fault-matrix'
import type { Scenario } from '../fixtures/faults'

const conf = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'bridge',
  bridge: 'br0',
  isDefaultGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]] },
}

const scenarios: Scenario[] = [
  {
    title: 'bridge, masquerading by iptables',
    plugin: 'bridge',
    conf: () => ({ ...conf, ipMasq: true, ipMasqBackend: 'iptables' }),
  },
  {
    title: 'bridge, masquerading by nftables, with macspoofchk',
    plugin: 'bridge',
    conf: () => ({ ...conf, ipMasq: true, ipMasqBackend: 'nftables', macspoofchk: true }),
  },
]

const flavour: Flavour = 'standalone'
for (const scenario of scenarios) t.test(scenario.title, t => tryFaults(t, scenario, flavour))
