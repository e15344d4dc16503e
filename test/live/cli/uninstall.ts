/** `kubenet uninstall`: from the reference plugins to ours and back, under a container that runs all the time. */
import t from 'tap'
import { eventually } from '../../fixtures/cluster/eventually'
import { binDir, flavours, type Json, peerDir, plugin } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const parse = (text: string): Json => JSON.parse(text)

const conf = {
  cniVersion: '1.0.0',
  name: 'pods',
  type: 'bridge',
  bridge: 'br-pods',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.78.0.0/24' }]] },
}

const conflist = { cniVersion: '1.0.0', name: 'pods', plugins: [{ ...conf, name: undefined }] }

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet uninstall`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = `${binDir(flavour)}/kubenet`
    const folder = '/run/cni/bin'
    const files = async () => (await host.sh(`ls -A ${folder}`)).split('\n').filter(Boolean)
    const uninstall = (...args: string[]) =>
      host.exec([kubenet, 'uninstall', '--bin-dir', folder, '--conf-dir', '/run/cni/net.d', ...args])
    const install = () => host.exec([kubenet, 'install', '--bin-dir', folder])
    const bridge = plugin(host, folder, 'bridge')
    const reference = ['bandwidth', 'bridge', 'host-local', 'loopback', 'portmap', 'tuning']
    await host.sh(`
      mkdir -p ${folder} /run/cni/net.d
      for name in ${reference.join(' ')}; do cp ${peerDir}/$name ${folder}; done
      echo '${JSON.stringify(conflist)}' > /run/cni/net.d/10-pods.conflist`)
    const sums = () => host.sh(`cd ${folder} && sha256sum ${reference.join(' ')}`)
    const before = await sums()
    const netns = await host.netns('pod')
    await bridge('ADD', conf, { netns })
    const reaches = () => host.exec(['ip', 'netns', 'exec', 'pod', 'ping', '-c1', '-W1', '-q', '10.78.0.1'])

    await t.test('install keeps each plugin that it replaces, once', async t => {
      const { code, stdout } = await install()
      t.equal(code, 0)
      t.match(stdout, /bridge +replaced +another's file, kept as bridge\.before-kubenet +/)
      const kept = reference.slice(0, -1).map(name => `${name}.before-kubenet`)
      t.same(
        (await files()).filter(name => name.includes('.before-')),
        kept,
      )
      t.match(
        await host.sh(`NETCONFPATH=/run/cni/net.d ${kubenet} plugins --json --cni-bin-dir ${folder}`),
        /"name": "tuning"/,
      )
      t.notMatch(
        await host.sh(`NETCONFPATH=/run/cni/net.d ${kubenet} plugins --json --cni-bin-dir ${folder}`),
        /before-kubenet/,
      )
      await host.sh(`rm ${folder}/portmap; cp ${peerDir}/portmap ${folder}/portmap`)
      t.equal((await install()).code, 0)
      t.same(
        (await files()).filter(name => name.includes('.before-')),
        kept,
        'the same file is not kept twice',
      )
      await host.sh(`rm ${folder}/portmap; echo newer > ${folder}/portmap`)
      t.match(
        (await install()).stdout,
        /portmap +replaced +another's file, kept as portmap\.before-kubenet\.2 /,
      )
      t.equal(await host.sh(`cat ${folder}/portmap.before-kubenet.2`), 'newer\n')
      await host.sh(`rm ${folder}/portmap.before-kubenet.2`)
      t.equal((await reaches()).code, 0)
    })

    await t.test(
      'without the earlier plugins it refuses, names who needs ours, and does nothing',
      async t => {
        const there = await files()
        const { code, stdout, stderr } = await uninstall()
        t.same([code, stdout], [1, ''])
        t.match(
          stderr,
          /^kubenet: uninstall: the plugins are in use: network "pods" \(\/run\/cni\/net\.d\/10-pods\.conflist\) needs bridge, host-local; 1 attached containers need them for DEL: \S+ \(eth0 on pods\); move the networks away and delete the containers, or use --restore: it puts back the earlier plugins; --force removes them anyway\n$/,
        )
        t.same(await files(), there)
      },
    )

    await t.test('--restore puts the earlier plugins back, and the container works on', async t => {
      const { code, stdout, stderr } = await uninstall('--restore')
      t.same([code, stderr], [0, ''])
      t.match(stdout, /bridge +restored/)
      t.match(stdout, /kubenet +removed/)
      t.same(await files(), reference)
      t.equal(await sums(), before)
      t.equal((await reaches()).code, 0)
      t.equal((await bridge('DEL', conf, { netns })).code, 0)
      t.equal((await host.sh('ip -o link show type veth')).trim(), '')
    })

    await t.test('a network whose plugin was never there before keeps it from restoring', async t => {
      await install()
      await host.sh(
        `echo '{"cniVersion":"1.0.0","name":"k","plugins":[{"type":"kubenet","podCIDR":"10.79.0.0/24"}]}' > /run/cni/net.d/20-k.conflist`,
      )
      const { code, stderr } = await uninstall('--restore')
      t.equal(code, 1)
      t.match(stderr, /in use: network "k" \(.*\) needs kubenet; no copy of .*kubenet.* was kept; --force/)
      const forced = await uninstall('--restore', '--force', '--json')
      t.equal(forced.code, 0)
      t.match(parse(forced.stdout).notes, [/^network "k" .* needs kubenet$/])
      t.same(await files(), reference)
    })

    await t.test('it removes ours and nothing else', async t => {
      await host.sh(`rm -rf ${folder} /run/cni/net.d/*`)
      await install()
      await host.sh(
        `printf '#!/bin/sh\\n' > ${folder}/new && mv ${folder}/new ${folder}/portmap; echo > ${folder}/other`,
      )
      const { code, stdout } = await uninstall()
      t.equal(code, 0)
      t.match(stdout, /bridge +removed/)
      t.match(stdout, /portmap +kept/)
      t.same(await files(), ['other', 'portmap'])
      t.equal((await host.exec([kubenet, 'uninstall', '--bin-dir', '/run/none'])).code, 3)
    })

    await t.test('a container that an ADD under way attaches keeps its plugins', async t => {
      await host.sh(`rm -rf ${folder} /run/cni/net.d/*`)
      await install()
      const there = await files()
      const late = { cniVersion: '1.0.0', name: 'late', type: 'bridge', bridge: 'br-late' }
      const id = { netns: await host.netns('late'), containerID: 'late' }
      // A call that has its configuration only later: nothing is to be seen of it yet.
      const slowly =
        "{ until [ -e /run/go ]; do sleep 0.02; done; cat /run/late.json; } | sh -c 'echo $$ > /run/pid; exec $PROGRAM'"
      await host.sh(`echo '${JSON.stringify(late)}' > /run/late.json`)
      const added = host.exec(['sh', '-c', slowly], {
        env: {
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
          PROGRAM: `${folder}/bridge`,
          CNI_COMMAND: 'ADD',
          CNI_CONTAINERID: id.containerID,
          CNI_NETNS: id.netns,
          CNI_IFNAME: 'eth0',
          CNI_PATH: folder,
        },
      })
      const commandLine = "tr '\\0' ' ' < /proc/$(cat /run/pid)/cmdline"
      await eventually('the plugin runs', async () =>
        (await host.exec(['sh', '-c', commandLine])).stdout.includes(`${folder}/bridge`),
      )
      const uninstalled = uninstall()
      await eventually('uninstall has looked', async () => !(await files()).includes('bridge'))
      await host.sh('touch /run/go')
      t.equal((await added).code, 0)
      const { code, stderr } = await uninstalled
      t.equal(code, 1)
      t.match(stderr, /1 attached containers need them for DEL: late \(eth0 on late\)/)
      t.same(await files(), there)
      t.equal((await bridge('DEL', late, id)).code, 0)
      t.equal((await uninstall()).code, 0)
      t.same(await files(), [])
    })
  })
}
