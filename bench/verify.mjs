/** Looks, with the system's own tools, whether all sides do the same work: a quicker plugin may not have done less. */
import { netnsOf, programsOf } from './host/setups.mjs'

const hostPort = pod => 20_000 + pod

const facts = pod => `
  count() { echo "$1 $(eval "$2" 2>/dev/null | wc -l)"; }
  count links 'ip -o link | grep -E "(veth|bwp)[0-9a-f]+"'
  count shapers 'tc qdisc | grep -wE "tbf|htb"'
  count redirects 'for veth in /sys/class/net/veth*; do tc filter show dev \${veth##*/} ingress; done | grep -w mirred'
  count leases 'find /var/lib/cni -type f -name "10.88.*"'
  count portRules '{ iptables-save; nft list ruleset; } | grep -w ${hostPort(pod)}'
  # What masquerading goes by.
  count podRules '{ iptables-save; nft list ruleset; } | grep -F 10.88.'
  count podAddress 'ip -n ${netnsOf(pod)} -o -4 addr show eth0 | grep -F 10.88.'
  count podRoute 'ip -n ${netnsOf(pod)} route show default | grep -F 10.88.0.1'
`

const read = async (host, pod) =>
  Object.fromEntries(
    (await host.sh(facts(pod)))
      .trim()
      .split('\n')
      .map(line => line.split(' '))
      .map(([name, count]) => [name, Number(count)]),
  )

/** What an ADD brings at least, by the programs of the setup. */
const expected = setup => {
  const programs = programsOf(setup)
  const one = programs.includes('kubenet') || programs.includes('netavark')
  const limited = setup !== 'kubenet-unlimited' && setup !== 'netavark'
  const kept = !programs.includes('netavark')
  const has = name =>
    programs.includes(name) || (one && (name !== 'bandwidth' || limited) && (name !== 'host-local' || kept))
  return {
    links: has('bridge') ? (has('bandwidth') ? 2 : 1) : 0,
    shapers: has('bandwidth') ? 2 : 0,
    redirects: has('bandwidth') ? 1 : 0,
    leases: has('host-local') ? 1 : 0,
    portRules: has('portmap') ? 1 : 0,
    podRules: setup === 'bridge' || !has('bridge') ? 0 : 1,
    podAddress: has('bridge') ? 1 : 0,
    podRoute: has('bridge') ? 1 : 0,
  }
}

const require = (side, what, holds, numbers) => {
  if (!holds) throw new Error(`${side.name}, ${side.setup}: ${what}: ${JSON.stringify(numbers)}`)
}

/** Connects and disconnects one pod, and throws unless the ADD left all of its traces and the DEL none. */
export const verify = async (side, pod) => {
  const { host, setup, bins, prefix } = side
  const before = await read(host, pod)
  await host.request('attach', { setup, bins, prefix, command: 'ADD', pod })
  const during = await read(host, pod)
  await host.request('attach', { setup, bins, prefix, command: 'DEL', pod })
  const after = await read(host, pod)
  for (const [name, least] of Object.entries(expected(setup))) {
    require(side, `ADD did not do its ${name}`, during[name] - before[name] >= least, { before, during })
  }
  // Of the rules, some that all pods share name the whole range: only what is a pod's own is compared.
  for (const name of ['links', 'shapers', 'redirects', 'leases', 'portRules', 'podAddress']) {
    require(side, `DEL left ${name}`, after[name] === before[name], { before, after })
  }
}
