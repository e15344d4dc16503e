/**
 * The floor: the same kernel work by the system's own programs, each started once with all its work on standard input.
 * They look nothing up, keep no lease and print no result, so that a plugin can hardly be quicker.
 */
import { netnsOf } from './host/setups.mjs'
import { total } from './report/stats.mjs'

const hostLink = 'vethfloor'
const ifb = 'bwpfloor'
const address = '10.88.0.9'
const group = 4242

const connect = ({ pod, lo = '' }) => [
  [
    ['/sbin/ip', '-batch', '-'],
    `link add ${hostLink} group ${group} master cbr0 up type veth peer name eth0 netns ${netnsOf(pod)}`,
  ],
  [
    ['/sbin/ip', '-n', netnsOf(pod), '-batch', '-'],
    `${lo}link set eth0 up\naddr add ${address}/16 dev eth0\nroute add default via 10.88.0.1`,
  ],
]

const masqueradeRules = {
  add: `*nat
:CNI-floor - [0:0]
-A POSTROUTING -s ${address}/32 -j CNI-floor -m comment --comment "name: \\"pods\\" id: \\"floor\\""
-A CNI-floor -d 10.88.0.0/16 -j ACCEPT -m comment --comment "name: \\"pods\\" id: \\"floor\\""
-A CNI-floor ! -d 224.0.0.0/4 -j MASQUERADE -m comment --comment "name: \\"pods\\" id: \\"floor\\""
COMMIT
`,
  del: `*nat
-D POSTROUTING -s ${address}/32 -j CNI-floor -m comment --comment "name: \\"pods\\" id: \\"floor\\""
-F CNI-floor
-X CNI-floor
COMMIT
`,
}

const restore = ['/usr/sbin/iptables-restore', '--noflush', '--wait']

const tbf = 'root handle 1: tbf rate 100mbit burst 1250000b latency 25ms'

const shape = `qdisc add dev ${hostLink} ${tbf}
qdisc add dev ${ifb} ${tbf}
qdisc add dev ${hostLink} ingress
filter add dev ${hostLink} parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev ${ifb}
`

const elements = verb => `${verb} element inet floor pods { ${address} }
${verb} element inet floor ports { tcp . 25000 ${verb === 'add' ? `: ${address} . 80 ` : ''}}
`

/** The programs of each setup, with what they read on standard input. */
const works = {
  masquerade: {
    add: pod => [...connect({ pod }), [restore, masqueradeRules.add]],
    del: () => [
      [['/sbin/ip', '-batch', '-'], `link del ${hostLink}`],
      [restore, masqueradeRules.del],
    ],
  },
  kubenet: {
    add: pod => [
      [['/sbin/ip', '-batch', '-'], `link add ${ifb} group ${group} up type ifb`],
      ...connect({ pod, lo: 'link set lo up\n' }),
      [['/sbin/tc', '-batch', '-'], shape],
      [['/usr/sbin/nft', '-f', '-'], elements('add')],
    ],
    // Links of one group go in one message, which the kernel waits for once.
    del: () => [
      [['/sbin/ip', '-batch', '-'], `link del group ${group}`],
      [['/usr/sbin/nft', '-f', '-'], elements('delete')],
    ],
  },
}

const frame = `
  ip link add cbr0 type bridge
  ip addr add 10.88.0.1/16 dev cbr0
  ip link set cbr0 up
  sysctl -qw net.ipv4.ip_forward=1
  nft -f - <<'END'
table inet floor {
  set pods { type ipv4_addr; }
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
}
END`

const runAll = async (host, programs) => {
  const outcomes = []
  for (const [argv, stdin] of programs) outcomes.push(await host.run(argv, { stdin: `${stdin}\n` }))
  return total(outcomes)
}

/** The floor of a setup as a side of a comparison, on a host of its own. */
export const floorOf = async (setup, host) => {
  await host.sh(frame)
  const { add, del } = works[setup]
  return {
    name: 'floor',
    setup,
    host,
    pair: async pod => ({ add: await runAll(host, add(pod)), del: await runAll(host, del(pod)) }),
  }
}
