/**
 * `kubenet gc --yes` beside ADDs: a container attached while it runs keeps all it has, whichever client adds it,
 * and what is stale goes.
 */
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { anyFlavour, binDir, peerDir } from '../../fixtures/cni'
import { extent } from '../../fixtures/extent'
import { PrivateHost } from '../../fixtures/private-host'

const pods = extent(16, 60)
const path = '/usr/sbin:/usr/bin:/sbin:/bin'

const networkFor = (cniVersion: string) => ({
  cniVersion,
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cbr0',
      isGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.55.0.0/24' }]] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
})

/** Who adds, and by which program: a line that adds pod $1, whose namespace is there. */
const actors = (folder: string): Record<string, { line: string; binDir: string; skip?: string | false }> => ({
  'kubenet add': { line: `${folder}/kubenet add pods /run/netns/$1`, binDir: folder },
  'our plugins, by another runtime': { line: `runtime ${folder} $1`, binDir: folder },
  'the reference’s plugins, by another runtime': {
    line: `runtime ${peerDir} $1`,
    binDir: peerDir,
    skip: !existsSync(`${peerDir}/bridge`) && `needs ${peerDir}`,
  },
})

/** What a runtime does that knows nothing of ours: the plugins in turn, and a cached result at the end. */
const runtime = `runtime() {
  prev= ; n=0
  for type in bridge portmap; do
    result=$(jq -c --argjson n $n --argjson prev "\${prev:-null}" \\
      '. as $list | .plugins[$n] + {name, cniVersion} + if $prev then {prevResult: $prev} else {} end' /run/net.d/pods.conflist |
      CNI_COMMAND=ADD CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 CNI_IFNAME=eth0 CNI_PATH=$1 $1/$type) || { echo "$result"; return 1; }
    prev=$result; n=$((n + 1))
  done
}`

const check = async (t: Test, host: PrivateHost): Promise<void> => {
  const lost = await host.sh(`
    for i in $(seq ${pods}); do
      ip -n new$i -br link show eth0 > /dev/null 2>&1 || { echo "new$i has no eth0"; continue; }
      ip netns exec new$i ping -c1 -W2 10.55.0.1 > /dev/null || echo "new$i does not reach its gateway"
    done`)
  t.equal(lost, '')
  t.equal(await host.sh('cat /run/failures 2> /dev/null || true'), '')
}

for (const flavour of anyFlavour) {
  const folder = binDir(flavour)
  for (const [who, actor] of Object.entries(actors(folder))) {
    t.test(`[${flavour}] ${who} beside kubenet gc`, { skip: actor.skip ?? false }, async t => {
      const host = await PrivateHost.create(t)
      await host.sh(`mkdir -p /run/net.d; cat > /run/net.d/pods.conflist << 'END'
${JSON.stringify(networkFor(actor.binDir === folder ? '1.1.0' : '1.0.0'))}
END`)
      const env = `export PATH=${path} CNI_PATH=${actor.binDir} NETCONFPATH=/run/net.d`
      // Some that are there before, and some that ended without a DEL.
      const script = `${env}
        ${runtime}
        add() { ip netns add $1; ${actor.line} > /run/out.$1 2>&1 || { echo "$1: $(cat /run/out.$1)" >> /run/failures; }; }
        for i in 1 2 3 4; do add old$i; done
        ip netns del old1; ip netns del old2
        while [ $(ip -o link show type veth | wc -l) -gt 2 ]; do sleep 0.05; done
        (until [ -e /run/stop ]; do ${folder}/kubenet gc pods --yes >> /run/gc 2>&1 || echo "gc: $?" >> /run/gc; done) &
        for i in $(seq ${pods}); do add new$i; done
        touch /run/stop
        wait`
      const { code, stderr } = await host.exec(['bash', '--norc', '-c', script], { timeoutMs: 300_000 })
      t.equal(code, 0, stderr)
      await check(t, host)
      const gc = await host.exec([`${folder}/kubenet`, 'gc', 'pods', '--yes', '--json'], {
        env: { PATH: path, CNI_PATH: actor.binDir, NETCONFPATH: '/run/net.d' },
      })
      t.equal(gc.code, 0, gc.stderr + gc.stdout)
      await check(t, host)
      t.match(
        await host.sh('ip -n old3 -br addr show eth0; ip -n old4 -br addr show eth0'),
        /10\.55\.0.*\n.*10\.55\.0/,
      )
      if (actor.binDir === folder) {
        t.equal(
          await host.sh('ls /var/lib/cni/networks/pods | grep -c ^10'),
          `${pods + 2}\n`,
          'the stale are gone',
        )
      }
    })
  }
}
