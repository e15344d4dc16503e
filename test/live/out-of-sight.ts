/**
 * Only a process shows that a container lives: a call that cannot see the process does not take it for gone. Called from
 * another PID namespace, without CAP_SYS_PTRACE, behind hidepid or a mount of another namespace, nothing is touched.
 */
import t, { type Test } from 'tap'
import { type Answer, anyFlavour, binDir, call, type Json } from '../fixtures/cni'
import { type Output, PrivateHost } from '../fixtures/private-host'

const path = '/usr/sbin:/usr/bin:/sbin:/bin'
const noPtrace = 'setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace --ambient-caps -sys_ptrace --'

/** Words in front of a command, after which it sees less of the node. */
const places = {
  'another PID namespace': 'unshare --pid --fork --kill-child --mount-proc --',
  'a PID namespace whose /proc is the node’s': 'unshare --pid --fork --kill-child --',
  'a process without CAP_SYS_PTRACE': noPtrace,
  'a /proc with hidepid': `unshare --mount sh -c 'mount -t proc -o hidepid=2 proc /proc; exec ${noPtrace} "$@"' -`,
  'another mount namespace': `unshare --mount sh -c 'mount -t tmpfs tmpfs /run/netns; exec "$@"' -`,
} as const

const conf = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'macvlan',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.9.0.0/30' }]] },
}

const portmapConf = (backend: string): Json => ({
  cniVersion: '1.1.0',
  name: 'net',
  type: 'portmap',
  backend,
  prevResult: { cniVersion: '1.1.0', interfaces: [], ips: [{ address: '10.9.0.2/30' }], dns: {} },
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
})

/** A host with plugins and command line that may be called from somewhere else. */
const nodeOf = (host: PrivateHost, folder: string) => {
  const wrap = (words: string) =>
    host.sh(`mkdir -p /run/there; for name in host-local portmap kubenet; do
      printf '#!/bin/sh\nexec %s %s "$@"\n' "${words.replaceAll(/["$]/g, String.raw`\$&`)}" ${folder}/$name > /run/there/$name
      chmod 755 /run/there/$name; done`)
  const plugin = (name: string, command: string, given: Json, containerID: string): Promise<Answer> =>
    call(host, '/run/there', name, given, {
      command,
      containerID,
      netns: `/run/netns/${containerID}`,
      path: folder,
    })
  const kubenet = (...args: string[]): Promise<Output> =>
    host.exec(['/run/there/kubenet', ...args], {
      env: { PATH: path, CNI_PATH: `/run/hooks:${folder}`, NETCONFPATH: '/run/net.d' },
      timeoutMs: 120_000,
    })
  return { wrap, plugin, kubenet }
}

/** All that there is of containers: leases and records, host ports, rules. */
const stateOf = async (host: PrivateHost): Promise<string> =>
  (await host.snapshot()) +
  (await host.sh(
    'find /var/lib/cni/networks /run/kubenet-cni -type f ! -name lock -exec grep -H . {} + | sort',
  ))

/** Is older than what is not judged for its youth. */
const grow = (host: PrivateHost) =>
  host.sh(`for f in $(grep -l '"time":' -r /var/lib/cni/networks/.kubenet /run/kubenet-cni/hostports/owners); do
    time=$(jq .time $f); content=$(jq -c ".time = $time - 600000" $f); printf %s "$content" > $f; done`)

const testPlace = async (t: Test, host: PrivateHost, folder: string, words: string) => {
  const { wrap, plugin, kubenet } = nodeOf(host, folder)
  await wrap(words)
  const before = await stateOf(host)
  t.match((await plugin('host-local', 'ADD', conf, 'c2')).json, {
    code: 11,
    msg: /no IP addresses available/,
  })
  t.match((await plugin('host-local', 'STATUS', conf, 'c2')).json, { code: 50 }, 'STATUS agrees')
  for (const backend of ['iptables', 'nftables']) {
    const { json } = await plugin('portmap', 'ADD', portmapConf(backend), 'c2')
    t.match(json, { code: 7, msg: 'host port 8080/tcp is taken by container c1' }, backend)
  }
  const told = await kubenet('gc', 'net', '--json')
  const judged: Json[] = told.stdout ? JSON.parse(told.stdout).attachments : []
  t.match(judged, [{ containerID: 'c1', action: 'keep' }], told.stderr)
  await kubenet('gc', 'net', '--yes', '--all')
  await kubenet('doctor', '--fix')
  t.equal(await stateOf(host), before, 'nothing is touched')
}

for (const flavour of anyFlavour) {
  for (const backend of ['iptables', 'nftables']) {
    t.test(`[${flavour}] ${backend}: a container that only its process shows`, async t => {
      const host = await PrivateHost.create(t)
      const folder = binDir(flavour)
      const { wrap, plugin } = nodeOf(host, folder)
      await host.sh(`mkdir -p /run/net.d /run/hooks; printf '#!/bin/sh\n' > /run/hooks/macvlan; chmod 755 /run/hooks/macvlan
cat > /run/net.d/net.conflist << 'END'
${JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins: [{ type: 'macvlan', ipam: conf.ipam }, { type: 'portmap' }] })}
END`)
      await host.netns('c1')
      await host.netns('c2')
      await wrap('env')
      t.equal((await plugin('host-local', 'ADD', conf, 'c1')).code, 0)
      t.equal((await plugin('portmap', 'ADD', portmapConf(backend), 'c1')).code, 0)
      await grow(host)
      // It has no interface of the host's, and its namespace is mounted nowhere.
      await host.sh(`ip netns exec c1 sh -c 'echo $$ > /run/pid; exec sleep 1000' < /dev/null > /dev/null 2>&1 &
        until [ -s /run/pid ] && [ "$(readlink /proc/$(cat /run/pid)/exe)" = "$(readlink -f $(command -v sleep))" ]; do sleep 0.05; done
        umount /run/netns/c1; rm /run/netns/c1`)
      await t.test('seen from the node, it lives', t => testPlace(t, host, folder, 'env'))
      for (const [place, words] of Object.entries(places))
        await t.test(`seen from ${place}`, t => testPlace(t, host, folder, words))

      await t.test('and when it has ended, who sees that goes on', async t => {
        await wrap('env')
        await host.sh('kill -9 $(cat /run/pid); while [ -e /proc/$(cat /run/pid) ]; do sleep 0.05; done')
        t.equal((await plugin('portmap', 'DEL', portmapConf(backend), 'c1')).stdout, '')
        // The kernel may have given the number of its namespace to one of another test: then it looks alive for a while.
        let answer = await plugin('host-local', 'ADD', conf, 'c2')
        for (const deadline = Date.now() + 60_000; answer.code !== 0 && Date.now() < deadline; )
          answer = await plugin('host-local', 'ADD', conf, 'c2')
        t.match(answer.json, { ips: [{ address: '10.9.0.2/30' }] })
      })
    })
  }

  t.test(`[${flavour}] kubenet gc --yes and a pod whose namespace was unmounted`, async t => {
    const host = await PrivateHost.create(t)
    const folder = binDir(flavour)
    const { wrap, kubenet } = nodeOf(host, folder)
    await wrap('env')
    const plugins = [
      { ...conf, type: 'bridge', bridge: 'br0', isGateway: true, ipMasq: true },
      { type: 'portmap' },
    ]
    await host.sh(`mkdir -p /run/net.d; cat > /run/net.d/net.conflist << 'END'
${JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins })}
END`)
    await host.netns('c1')
    t.equal((await kubenet('add', 'net', '/run/netns/c1', '--container-id', 'c1')).code, 0)
    await host.sh(`ip netns exec c1 sh -c 'echo $$ > /run/pid; exec sleep 1000' < /dev/null > /dev/null 2>&1 &
      until [ -s /run/pid ] && [ "$(readlink /proc/$(cat /run/pid)/exe)" = "$(readlink -f $(command -v sleep))" ]; do sleep 0.05; done
      umount /run/netns/c1; rm /run/netns/c1`)
    const reaches = () =>
      host.sh('nsenter -t $(cat /run/pid) -n ping -c1 -W5 10.9.0.1 > /dev/null && echo yes || echo no')
    await grow(host)
    // First its veth speaks for it too, then its process alone.
    for (const silence of [
      ':',
      'for v in $(ls /sys/class/net | grep veth); do ip link set $v alias ""; done',
    ]) {
      await host.sh(silence)
      const told = await kubenet('gc', 'net', '--json')
      t.match(JSON.parse(told.stdout).attachments, [{ containerID: 'c1', action: 'keep' }])
      await kubenet('gc', 'net', '--yes', '--all')
      await kubenet('doctor', '--fix')
      t.equal(await reaches(), 'yes\n')
      t.equal(await host.sh('ls /var/lib/cni/networks/net | grep ^10'), '10.9.0.2\n')
    }
    await host.sh('kill -9 $(cat /run/pid)')
  })
}
