/** bridge with host-local: whatever happens at any of its system calls, nothing is left. */
import t from 'tap'
import type { Flavour } from '../../fixtures/cni'
import { tryFaults } from '../../fixtures/fault-matrix'
import type { Scenario } from '../../fixtures/faults'

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
    // Each container has a bridge of its own, which comes and goes with it.
    title: 'bridge with prune, masquerading by nftables, with macspoofchk and dropInvalid',
    plugin: 'bridge',
    conf: containerID => ({
      ...conf,
      ...{ bridge: `br-${containerID}`, prune: true, macspoofchk: true },
      ...{ ipMasq: true, ipMasqBackend: 'nftables', dropInvalid: true },
    }),
  },
]

const flavour: Flavour = 'standalone'
for (const scenario of scenarios) t.test(scenario.title, t => tryFaults(t, scenario, flavour))
