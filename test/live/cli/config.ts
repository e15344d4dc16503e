/** `kubenet config --write` on a node with pods: their addresses stay in the network's ranges. */
import t from 'tap'
import { anyFlavour, binDir } from '../../fixtures/cni'
import { confDir } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] config --write beside running pods`, async t => {
    const host = await PrivateHost.create(t)
    const folder = binDir(flavour)
    const kubenet = (...args: string[]) =>
      host.exec([`${folder}/kubenet`, ...args], {
        env: {
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
          CNI_PATH: folder,
          NETCONFPATH: confDir,
          CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web',
        },
      })
    const write = (podCidr: string, ...more: string[]) =>
      kubenet('config', '--pod-cidr', podCidr, '--write', ...more)
    const file = () => host.sh(`cat ${confDir}/10-kubenet.conflist`)

    t.match(await write('10.244.1.0/24'), { code: 0 })
    t.match(await write('10.244.2.0/24'), { code: 0 }, 'no pod is there yet')
    const netns = await host.netns('web')
    t.match(await kubenet('add', 'kubenet', netns, '--container-id', 'c1'), { code: 0 })
    const before = await file()

    await t.test('a range without the address of a pod is refused, and the pod named', async t => {
      const { code, stdout, stderr } = await write('10.244.3.0/24')
      t.same([code, stdout], [1, ''])
      t.equal(
        stderr,
        `kubenet: config: ${confDir}/10-kubenet.conflist is unchanged: 10.244.3.0/24 leaves out addresses of running ` +
          'containers, 1 in all: 10.244.2.2 of c1 (pod default/web); delete these containers first, or use --force\n',
      )
      t.equal(await file(), before)
    })

    await t.test('a wider range, another option, and a second family are not', async t => {
      for (const range of ['10.244.0.0/16', '10.244.2.0/24,fd00:244::/64', '10.244.2.0/24'])
        t.match(await write(range, '--hairpin-mode', 'hairpin-veth'), { code: 0 }, range)
    })

    await t.test('--force writes it, and so does the same command once the pod is gone', async t => {
      t.match(await write('10.244.3.0/24', '--force'), { code: 0 })
      t.match(await file(), /10\.244\.3\.0\/24/)
      t.match(await write('10.244.4.0/24'), { code: 1 }, 'the pod still has its address')
      t.match(await write('10.244.2.0/24'), { code: 0 })
      t.match(await kubenet('del', 'kubenet', netns, '--container-id', 'c1'), { code: 0 })
      t.match(await write('10.244.4.0/24'), { code: 0 })
    })

    await t.test('the list is of the newest version that the runtimes of the node take', async t => {
      const programs = {
        two: ['containerd', 'containerd github.com/containerd/containerd/v2 2.0.2 c507a0257ea6'],
        debian: ['containerd', 'containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1'],
        crio: ['crio', 'crio version 1.31.3'],
        odd: ['containerd', 'development'],
      }
      for (const [name, [program, says]] of Object.entries(programs))
        await host.sh(`
          mkdir /run/${name}
          printf '#!/bin/sh\n[ "$*" = --version ] && echo "${says}"\n' > /run/${name}/${program}
          chmod +x /run/${name}/${program}`)
      const ask = (path: string, ...more: string[]) =>
        host.exec([`${folder}/kubenet`, 'config', '--pod-cidr', '10.244.1.0/24', ...more], {
          env: { PATH: path },
        })
      for (const [path, version, because] of [
        ['/run/two', '1.1.0', 'containerd://2.0.2 takes it'],
        ['/run/debian', '1.0.0', 'containerd://1.6.20~ds1 is not known to take 1.1.0'],
        ['/run/crio', '1.1.0', 'cri-o://1.31.3 takes it'],
        ['/run/crio:/run/debian', '1.0.0', 'containerd://1.6.20~ds1 is not known to take 1.1.0'],
        ['/run/odd', '1.0.0', 'containerd://unknown is not known to take 1.1.0'],
        ['/run/none', '1.0.0', 'no containerd or CRI-O was found'],
      ] as const) {
        const { stdout, stderr } = await ask(path)
        t.equal(JSON.parse(stdout).cniVersion, version, path)
        t.match(stderr, `the list is of CNI ${version}, because ${because}; --cni-version sets another\n`)
      }
      const given = await ask('/run/debian', '--cni-version', '1.1.0')
      t.same([JSON.parse(given.stdout).cniVersion, given.stderr], ['1.1.0', ''])
      t.equal(JSON.parse((await ask('/run/two', '--reference')).stdout).cniVersion, '1.0.0')
    })
  })
}
