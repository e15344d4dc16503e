/**
 * `kubenet sync` in the middle of a DEL: the plugins that were first to delete are done, the container's interface and its
 * cached result are still there. Whichever client deletes, nothing that sync writes stays.
 */
import t from 'tap'
import { anyFlavour, binDir } from '../../fixtures/cni'
import { runKubenet } from '../../fixtures/command-line'
import { kubenetConf, Node } from '../../fixtures/kubenet'

const path = '/run/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
const bandwidth = { ingressRate: 10e6, ingressBurst: 1e6, egressRate: 20e6, egressBurst: 1e6 }
const CAP_ARGS = JSON.stringify({ portMappings, bandwidth })

const chain = (backend: string) => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cbr0',
      isGateway: true,
      ipMasq: true,
      ipMasqBackend: backend,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.55.0.0/24' }]] },
    },
    { type: 'hold' },
    { type: 'portmap', backend, capabilities: { portMappings: true } },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
  ],
})

/** A plugin whose DEL waits as long as /run/hold is there, and says by /run/held that it does. */
const holdPlugin = `#!/bin/sh
case $CNI_COMMAND in
  ADD) jq -c .prevResult ;;
  DEL) cat > /dev/null; touch /run/held; while [ -e /run/hold ]; do sleep 0.02; done ;;
esac
`

/** DEL of a runtime that knows no lock of ours: the plugins in reverse, and the cached result last. */
const foreignDel = (folder: string) => `
  cached=$(ls /var/lib/cni/results/pods-*)
  id=$(jq -r .containerId $cached)
  for n in 3 2 1 0; do
    conf=$(jq -c --argjson n $n --argjson caps '${CAP_ARGS}' --slurpfile cached $cached '. as $list | .plugins[$n] +
      {name, cniVersion, runtimeConfig: $caps, prevResult: $cached[0].result}' /run/net.d/10-pods.conflist)
    type=$(echo "$conf" | jq -r .type)
    program=${folder}/$type; [ $type != hold ] || program=/run/bin/hold
    echo "$conf" | CNI_COMMAND=DEL CNI_CONTAINERID=$id CNI_NETNS=/run/netns/web CNI_IFNAME=eth0 CNI_PATH=${folder}:/run/bin $program || exit 1
  done
  rm $cached`

/** What there is of containers on the host, beyond the bridge and tables without rules. */
const remains = `
  nft list ruleset 2> /dev/null | grep -E '10\\.(55\\.0|244\\.1)\\.[2-9]|8080' || true
  iptables-save 2> /dev/null | grep -E 'CNI-(DN-)?[0-9a-f]{20}|10\\.55\\.0\\.[2-9]' || true
  find /run/kubenet-cni/hostports -type f ! -name lock 2> /dev/null
  find /var/lib/cni/networks/pods /var/lib/cni/results -type f 2> /dev/null | grep -E '/10\\.|/pods-' || true
  ip -br link show type ifb; ip -br link show type veth | grep -v ^up0 || true`

const prepare = async (node: Node, list: object): Promise<void> => {
  const { host } = node
  await host.sh('mkdir -p /run/bin /run/net.d')
  await host.exec(['sh', '-c', 'cat > /run/bin/hold; chmod +x /run/bin/hold'], { stdin: holdPlugin })
  await host.exec(['sh', '-c', 'cat > /run/net.d/10-pods.conflist'], { stdin: JSON.stringify(list) })
  await host.netns('web')
}

for (const flavour of anyFlavour) {
  const folder = binDir(flavour)
  const deleters = {
    'kubenet del': `${folder}/kubenet del pods /run/netns/web`,
    'another runtime’s DEL': foreignDel(folder),
  }
  for (const backend of ['iptables', 'nftables']) {
    for (const [who, line] of Object.entries(deleters)) {
      t.test(`[${flavour}] ${who} with ${backend}, held before bridge, beside sync`, async t => {
        const node = await Node.create(t, flavour)
        const { host } = node
        await prepare(node, chain(backend))
        const env = { PATH: path, CNI_PATH: `${folder}:/run/bin`, CAP_ARGS }
        const added = await runKubenet(host, flavour, ['add', 'pods', '/run/netns/web'], { env })
        t.equal(added.code, 0, added.stderr)
        t.match(await host.sh(remains), /8080/, 'its host port is open')

        await host.sh('touch /run/hold')
        const deleting = host.exec(['bash', '--norc', '-c', line], {
          env: { ...env, NETCONFPATH: '/run/net.d' },
        })
        await host.sh('until [ -e /run/held ]; do sleep 0.02; done')
        const syncing = runKubenet(host, flavour, ['sync', '--json'], { env })
        // Long enough for sync to have looked, and written what it will.
        await host.sh('sleep 1.2; rm /run/hold')
        const [deleted, synced] = await Promise.all([deleting, syncing])
        t.equal(deleted.code, 0, deleted.stderr + deleted.stdout)
        t.equal(synced.code, 0, synced.stderr + synced.stdout)
        t.match(JSON.parse(synced.stdout).attachments, [{ state: 'gone', changes: [], failures: [] }])
        t.equal(await host.sh(remains), '')
      })
    }
  }

  t.test(`[${flavour}] objects that sync wrote for a pod of kubenet that is deleted meanwhile`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    const capabilities = { portMappings: true, bandwidth: true }
    await prepare(node, { cniVersion: '1.0.0', name: 'pods', plugins: [{ ...kubenetConf(), capabilities }] })
    const env = { CAP_ARGS }
    t.equal((await runKubenet(host, flavour, ['add', 'pods', '/run/netns/web'], { env })).code, 0)
    await host.sh('nft flush ruleset')
    const syncing = runKubenet(host, flavour, ['sync', '--json'], { env })
    await host.sh('until nft list ruleset | grep -q 8080; do sleep 0.02; done')
    // The last that a DEL does, of which the first part was over before.
    await host.sh('ip -n web link del eth0; rm /var/lib/cni/results/pods-* /var/lib/cni/networks/pods/10.*')
    const synced = await syncing
    t.equal(synced.code, 0, synced.stderr + synced.stdout)
    t.match(JSON.parse(synced.stdout).attachments, [{ state: 'gone', changes: [], failures: [] }])
    t.notMatch(await host.sh(remains), /8080|10\.244\.1\.2|hostports/)
  })

  t.test(`[${flavour}] a pod that is deleted and added again while sync runs keeps all it has`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await prepare(node, chain('iptables'))
    const env = { PATH: path, CNI_PATH: `${folder}:/run/bin`, CAP_ARGS }
    const kubenet = (...args: string[]) => runKubenet(host, flavour, args, { env })
    t.equal((await kubenet('add', 'pods', '/run/netns/web')).code, 0)
    await host.sh('nft flush ruleset')
    const syncing = kubenet('sync', '--json')
    await host.sh('until iptables-save | grep -q 8080; do sleep 0.02; done')
    t.equal((await kubenet('del', 'pods', '/run/netns/web')).code, 0)
    t.equal((await kubenet('add', 'pods', '/run/netns/web')).code, 0)
    t.equal((await syncing).code, 0)
    const checked = await kubenet('check', 'pods', '/run/netns/web')
    t.match([checked.code, checked.stderr], [0, ''])
    t.match(await host.sh('find /run/kubenet-cni/hostports/claims -type f'), /tcp-8080/)
  })
}
