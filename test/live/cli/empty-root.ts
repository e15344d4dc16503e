/** The static program alone in a root folder, as in an image FROM scratch: no libc, no shell, no /proc. */
import t from 'tap'
import { binDir, flavours } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const root = '/run/empty'

t.test(
  'one file is all that the command line needs',
  flavours.includes('standalone') ? {} : { skip: 'of the standalone programs' },
  async t => {
    const host = await PrivateHost.create(t)
    await host.sh(`mkdir -p ${root}; cp ${binDir('standalone')}/kubenet ${root}/kubenet`)
    const call = (words: readonly string[], env: Record<string, string> = {}) =>
      host.exec(['/usr/sbin/chroot', root, '/kubenet', ...words], { env })

    const version = await call(['version'])
    t.same([version.code, version.stderr], [0, ''])
    t.match(version.stdout, /^kubenet \d.*\nkind +standalone, QuickJS\nprogram +\/kubenet\n/)
    t.match((await call(['help', 'gc'])).stdout, /^.*kubenet gc/s)

    await t.test('it writes a network, installs itself, and what it installed is a plugin', async t => {
      t.same((await call(['config', '--pod-cidr', '10.244.1.0/24', '--write'])).code, 0)
      t.match(JSON.parse(await host.sh(`cat ${root}/etc/cni/net.d/10-kubenet.conflist`)), { name: 'kubenet' })
      const installed = await call(['install'])
      t.same([installed.code, installed.stderr], [0, ''])
      t.equal(
        await host.sh(`ls ${root}/opt/cni/bin`),
        'bandwidth\nbridge\nhost-local\nkubenet\nloopback\nportmap\n',
      )
      const asked = await host.exec(['/usr/sbin/chroot', root, '/opt/cni/bin/bridge'], {
        env: { CNI_COMMAND: 'VERSION' },
      })
      t.match(JSON.parse(asked.stdout), { cniVersion: '1.1.0' })
    })

    await t.test('with /proc it looks at the node', async t => {
      await host.sh(`mkdir ${root}/proc; mount -t proc proc ${root}/proc`)
      const seen = await call(['inspect', '--json'])
      t.equal(seen.code, 0, seen.stderr)
      t.match(JSON.parse(seen.stdout), { networks: [{ name: 'kubenet' }], containers: [] })
      const diagnosed = await call(['doctor', '--json'])
      t.match(JSON.parse(diagnosed.stdout), Object)
    })
  },
)
