/** `kubenet doctor --fix` beside another runtime: a container that is back before its turn keeps all it has. */
import t from 'tap'
import { anyFlavour, binDir } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const path = '/usr/sbin:/usr/bin:/sbin:/bin'

const list = {
  cniVersion: '1.1.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cbr0',
      isGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.55.0.0/24' }]] },
    },
    { type: 'hook' },
  ],
}

/** What another runtime calls bridge with. */
const ofBridge = { cniVersion: list.cniVersion, name: list.name, ...list.plugins[0] }

/** A chained plugin: while one of the two containers is deleted, another runtime adds the other one again. */
const hook = (folder: string): string => `#!/bin/sh
PATH=${path}
case $CNI_COMMAND in
ADD) jq -c .prevResult ;;
DEL)
  [ -e /run/armed ] && [ $CNI_CONTAINERID != blue ] || exit 0
  rm /run/armed
  [ $CNI_CONTAINERID = red ] && other=grey || other=red
  echo $other > /run/back
  ip netns add $other
  CNI_COMMAND=ADD CNI_CONTAINERID=$other CNI_NETNS=/run/netns/$other CNI_IFNAME=eth0 CNI_PATH=${folder} \
    ${folder}/bridge < /run/bridge.conf > /run/back.result 2>&1
  ;;
esac
`

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] kubenet doctor --fix beside another runtime`, async t => {
    const host = await PrivateHost.create(t)
    const folder = binDir(flavour)
    await host.sh(`mkdir -p /run/net.d /run/hooks
cat > /run/net.d/pods.conflist << 'END'
${JSON.stringify(list)}
END
cat > /run/bridge.conf << 'END'
${JSON.stringify(ofBridge)}
END
cat > /run/hooks/hook << 'END'
${hook(folder)}
END
chmod 755 /run/hooks/hook`)
    const env = { PATH: path, CNI_PATH: `/run/hooks:${folder}`, NETCONFPATH: '/run/net.d' }
    const kubenet = (...args: string[]) =>
      host.exec([`${folder}/kubenet`, ...args], { env, timeoutMs: 300_000 })
    for (const name of ['blue', 'red', 'grey']) {
      await host.netns(name)
      const added = await kubenet('add', 'pods', `/run/netns/${name}`, '--container-id', name)
      t.equal(added.code, 0, added.stderr)
    }
    // What was made before this boot is gone for sure.
    await host.sh(`ip netns del red; ip netns del grey
      while [ $(ip -o link show type veth | wc -l) -gt 1 ]; do sleep 0.05; done
      for f in $(grep -l -e '"red"' -e '"grey"' -r /var/lib/cni/networks/.kubenet); do
        sed -i 's/"bootID":"[^"]*"/"bootID":"before"/' $f
      done
      touch /run/armed`)

    const fixed = await kubenet('doctor', '--fix', '--json')
    const back = (await host.sh('cat /run/back')).trim()
    t.match(back, /^(red|grey)$/, fixed.stdout + fixed.stderr)
    t.match(await host.sh('cat /run/back.result'), '"ips"', 'it was added again')
    t.equal(
      await host.sh(`ip netns exec ${back} ping -c1 -W5 10.55.0.1 > /dev/null && echo reached`),
      'reached\n',
      `${back} has its network`,
    )
    t.notMatch(fixed.stdout, `deleted what was left of container ${back}`)
    const leases = await host.sh(
      'grep -h . /var/lib/cni/networks/pods/10.* | grep -v eth0 | tr -d "\\r" | sort',
    )
    t.equal(leases, `blue\n${back}\n`, 'the other one is gone, this one has its lease')
  })
}
