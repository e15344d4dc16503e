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
  })
}
