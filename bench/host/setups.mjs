/**
 * What is set up for a pod, as lists of plugin calls that a runtime makes. The configurations of the peer and of ours
 * are the same to the letter, except for kubenet, which is the peer's whole list in one program.
 */

export const network = 'pods'
const subnet = '10.88.0.0/16'
const cniVersion = '1.0.0'

const bridgeConf = ({ ipMasq, backend }) => ({
  type: 'bridge',
  bridge: 'cbr0',
  isDefaultGateway: true,
  hairpinMode: true,
  ipMasq,
  ...(backend && { ipMasqBackend: backend }),
  ipam: { type: 'host-local', ranges: [[{ subnet }]] },
})

const capabilities = {
  portMappings: pod => [{ hostPort: 20_000 + pod, containerPort: 80, protocol: 'tcp' }],
  bandwidth: () => ({
    ingressRate: 100_000_000,
    ingressBurst: 10_000_000,
    egressRate: 100_000_000,
    egressBurst: 10_000_000,
  }),
}

const runtimeConfig = (names, pod) => Object.fromEntries(names.map(name => [name, capabilities[name](pod)]))

/** containerd's own list for every container. */
const loopback = {
  name: 'cni-loopback',
  ifName: 'lo',
  plugins: [{ conf: () => ({ type: 'loopback' }) }],
}

const chain = backend => [
  { conf: () => bridgeConf({ ipMasq: true, backend }) },
  { conf: pod => ({ type: 'portmap', backend, runtimeConfig: runtimeConfig(['portMappings'], pod) }) },
  { conf: pod => ({ type: 'bandwidth', runtimeConfig: runtimeConfig(['bandwidth'], pod) }) },
]

/** portmap alone: the configuration has the result that bridge would have returned. */
const portmapAlone = portMappings => [
  {
    plugins: [
      {
        conf: pod => ({
          type: 'portmap',
          backend: 'nftables',
          prevResult: {
            cniVersion,
            interfaces: [{ name: 'eth0', sandbox: `/run/netns/${netnsOf(pod)}` }],
            ips: [{ address: `10.88.${pod >> 8}.${pod & 255}/16`, interface: 0 }],
          },
          runtimeConfig: { portMappings: portMappings(pod) },
        }),
      },
    ],
  },
]

/** Where netavark keeps what is only for its name server, which no pod here asks for. */
const netavarkFolder = '/run/netavark'

/** The same pod for netavark: who calls it has chosen the address, and says all again at the end. */
const netavarkConf = pod => ({
  container_id: containerOf(pod),
  container_name: `pod-${pod}`,
  port_mappings: [{ host_ip: '', host_port: 20_000 + pod, container_port: 80, protocol: 'tcp', range: 1 }],
  networks: { [network]: { interface_name: 'eth0', static_ips: [`10.88.${pod >> 8}.${pod & 255}`] } },
  network_info: {
    [network]: {
      name: network,
      id: '88'.repeat(32),
      driver: 'bridge',
      network_interface: 'cbr0',
      created: '2025-01-01T00:00:00Z',
      subnets: [{ subnet, gateway: '10.88.0.1' }],
      ipv6_enabled: false,
      internal: false,
      dns_enabled: false,
      ipam_options: { driver: 'host-local' },
    },
  },
})

const netavark = {
  program: 'netavark',
  conf: netavarkConf,
  argumentsOf: ({ command, pod }) => [
    '--config',
    netavarkFolder,
    command === 'ADD' ? 'setup' : 'teardown',
    `/run/netns/${netnsOf(pod)}`,
  ],
}

/** As many host ports as a pod may reasonably have, the pod's usual one among them. */
const manyPorts = pod => [
  ...capabilities.portMappings(pod),
  ...Array.from({ length: 499 }, (_, i) => ({ hostPort: 30_000 + i, containerPort: i + 1, protocol: 'tcp' })),
]

/** Every setup: a list of networks, each a list of plugins. */
export const setups = {
  bridge: [{ plugins: [{ conf: () => bridgeConf({ ipMasq: false }) }] }],
  masquerade: [{ plugins: [{ conf: () => bridgeConf({ ipMasq: true, backend: 'iptables' }) }] }],
  chain: [{ plugins: chain('iptables') }],
  'chain-nftables': [{ plugins: chain('nftables') }],
  /** What kubenet does in one call, in the four that a runtime makes without it. */
  pod: [loopback, { plugins: chain('iptables') }],
  'pod-nftables': [loopback, { plugins: chain('nftables') }],
  kubenet: [
    {
      plugins: [
        {
          conf: pod => ({
            type: 'kubenet',
            podCIDR: subnet,
            runtimeConfig: runtimeConfig(['portMappings', 'bandwidth'], pod),
          }),
        },
      ],
    },
  ],
  /** The same without limits, which netavark has none of. */
  'pod-unlimited': [loopback, { plugins: chain('iptables').slice(0, 2) }],
  'kubenet-unlimited': [
    {
      plugins: [
        {
          conf: pod => ({
            type: 'kubenet',
            podCIDR: subnet,
            runtimeConfig: runtimeConfig(['portMappings'], pod),
          }),
        },
      ],
    },
  ],
  netavark: [{ plugins: [netavark] }],
  ports: portmapAlone(capabilities.portMappings),
  'many-ports': portmapAlone(manyPorts),
  'host-local': [
    {
      plugins: [
        {
          program: 'host-local',
          conf: () => ({ type: 'bridge', ipam: { type: 'host-local', ranges: [[{ subnet }]] } }),
        },
      ],
    },
  ],
}

/** The network namespace of a pod: cases that need many pods at once make as many. */
export const netnsOf = pod => `p${pod}`

/** A container ID as containerd makes them: 64 hex digits, here with the pod's number at the end. */
export const containerOf = pod => `${pod}`.padStart(8, '0').padStart(64, 'c0ffee')

/** The programs a setup calls, host-local among them. */
export const programsOf = setup => {
  const called = setups[setup].flatMap(({ plugins }) =>
    plugins.map(({ program, conf }) => program ?? conf(0).type),
  )
  return called.includes('bridge') ? [...called, 'host-local'] : called
}

const environment = ({ command, pod, ifName, bins }) => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: containerOf(pod),
  CNI_NETNS: `/run/netns/${netnsOf(pod)}`,
  CNI_IFNAME: ifName,
  CNI_PATH: bins,
  CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=pod-${pod};K8S_POD_INFRA_CONTAINER_ID=${containerOf(pod)}`,
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
})

const callOf = ({ plugin, list, command, pod, bins }) => {
  const { program, conf, argumentsOf } = plugin
  const own = conf(pod)
  const env = environment({ command, pod, ifName: list.ifName ?? 'eth0', bins })
  if (argumentsOf) return { list: network, program, conf: own, args: argumentsOf({ command, pod }), env }
  return {
    list: list.name ?? network,
    program: program ?? own.type,
    conf: { cniVersion, name: list.name ?? network, ...own },
    env,
  }
}

/** The calls of one pod in their order: ADD forwards, DEL backwards. */
export const callsOf = ({ setup, command, pod, bins }) => {
  const calls = setups[setup].flatMap(list =>
    list.plugins.map(plugin => callOf({ plugin, list, command, pod, bins })),
  )
  return command === 'DEL' ? calls.reverse() : calls
}
