/** portmap with either backend: whatever happens at any of its system calls, nothing is left. */
import t from 'tap'
import type { Json } from '../../fixtures/cni'
import { tryFaults } from '../../fixtures/fault-matrix'
import type { Scenario } from '../../fixtures/faults'

const numbers = { c1: 2, c2: 3 }

const conf =
  (backend: string) =>
  (containerID: 'c1' | 'c2'): Json => ({
    cniVersion: '1.1.0',
    name: 'net',
    type: 'portmap',
    backend,
    runtimeConfig: {
      portMappings: [
        { hostPort: 8000 + numbers[containerID], containerPort: 80, protocol: 'tcp' },
        { hostPort: 5300 + numbers[containerID], containerPort: 53, protocol: 'udp' },
      ],
    },
    prevResult: {
      cniVersion: '1.1.0',
      interfaces: [{ name: 'br0' }, { name: 'eth0', sandbox: `/run/netns/${containerID}` }],
      ips: [
        { interface: 1, address: `10.22.0.${numbers[containerID]}/24` },
        { interface: 1, address: `fd00:22::${numbers[containerID]}/64` },
      ],
      dns: {},
    },
  })

const setup = `
  ip link add br0 type bridge; ip addr add 10.22.0.1/24 dev br0; ip addr add fd00:22::1/64 dev br0 nodad
  ip link set br0 up
  mkdir -p /run/legacy
  for i in iptables ip6tables; do for verb in '' -restore -save; do
    ln -s $(command -v $i-legacy$verb) /run/legacy/$i$verb
  done; done
`

const scenarios: Scenario[] = [
  { title: 'portmap with iptables', plugin: 'portmap', conf: conf('iptables'), setup },
  {
    title: 'portmap with legacy iptables',
    plugin: 'portmap',
    conf: conf('iptables'),
    setup,
    path: '/run/legacy:/usr/sbin:/usr/bin:/sbin:/bin',
  },
  { title: 'portmap with nftables', plugin: 'portmap', conf: conf('nftables'), setup },
]

for (const scenario of scenarios) t.test(scenario.title, t => tryFaults(t, scenario, 'standalone'))
