/** kubenet, a pod in one process: whatever happens at any of its system calls, nothing is left. */
import t from 'tap'
import type { Json } from '../../fixtures/cni'
import { tryFaults } from '../../fixtures/fault-matrix'
import type { Scenario } from '../../fixtures/faults'

const conf =
  (backend: string) =>
  (containerID: 'c1' | 'c2'): Json => ({
    cniVersion: '1.1.0',
    name: 'net',
    type: 'kubenet',
    backend,
    podCIDRs: ['10.1.2.0/24', 'fd00:2::/64'],
    runtimeConfig: {
      portMappings: [
        { hostPort: containerID === 'c1' ? 8001 : 8002, containerPort: 80, protocol: 'tcp' },
        { hostPort: containerID === 'c1' ? 5301 : 5302, containerPort: 53, protocol: 'udp' },
      ],
      bandwidth: { ingressRate: 8_000_000, ingressBurst: 80_000, egressRate: 8_000_000, egressBurst: 80_000 },
    },
  })

const scenarios: Scenario[] = [
  { title: 'kubenet with nftables', plugin: 'kubenet', conf: conf('nftables') },
  { title: 'kubenet with iptables', plugin: 'kubenet', conf: conf('iptables') },
]

for (const scenario of scenarios) t.test(scenario.title, t => tryFaults(t, scenario, 'standalone'))
