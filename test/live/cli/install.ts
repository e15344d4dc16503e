/** `kubenet install`: the plugins of both flavours put in place, over what is there, or not at all. */
import t from 'tap'
import { binDir, flavours, type Json, plugin } from '../../fixtures/cni'
import { asNobody } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

const plugins = ['bandwidth', 'bridge', 'host-local', 'kubenet', 'loopback', 'portmap']

const parse = (text: string): Json => JSON.parse(text)

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet install`, async t => {
    const names = plugins
    const inodesOf = (paths: string) => host.sh(`stat -c '%i %a %h' ${paths}`)
    const host = await PrivateHost.create(t)
    const kubenet = `${binDir(flavour)}/kubenet`
    const files = async (folder: string) =>
      (await host.sh(`ls -A ${folder} 2>/dev/null || true`)).split('\n').filter(Boolean)
    const install = (...args: string[]) => host.exec([kubenet, 'install', ...args])

    await t.test('puts one file in place under all names, and makes the folder', async t => {
      const { code, stdout, stderr } = await install('--bin-dir', '/run/a/bin')
      t.same([code, stderr], [0, ''])
      t.equal(stdout.split('\n').filter(line => / installed +- +/.test(line)).length, names.length)
      t.same(await files('/run/a/bin'), names)
      const inodes = await inodesOf(plugins.map(name => `/run/a/bin/${name}`).join(' '))
      t.equal(new Set(inodes.trim().split('\n')).size, 1)
      t.match(inodes, / 755 6\n/)
      await host.sh(`cmp ${kubenet} /run/a/bin/bridge`)
    })

    await t.test('one file, copied anywhere, is the command line', async t => {
      await host.sh(
        `mkdir -p /run/alone; cp ${kubenet} /run/alone/kubenet; ln -s /run/alone/kubenet /run/kubenet`,
      )
      const { code, stdout, stderr } = await host.exec(['/run/kubenet', 'version'])
      t.same([code, stderr], [0, ''])
      t.match(stdout, /^kubenet \d/)
      t.match(stdout, '\nprogram  /run/alone/kubenet\n')
    })

    await t.test('the agent is a program beside it, or the message says where it is', async t => {
      const alone = await host.exec(['/run/alone/kubenet', 'agent', '--help'])
      t.same([alone.code, alone.stdout], [3, ''])
      t.match(
        alone.stderr,
        /^kubenet: agent: .* kubenet-agent is neither in \/run\/alone nor in PATH; it is in the image[^\n]*\n$/,
      )
      await host.sh(
        `printf '#!/bin/sh\necho "$0 $*"; exit 7\n' > /run/alone/kubenet-agent; chmod +x /run/alone/*`,
      )
      const became = await host.exec(['/run/kubenet', 'agent', '--json', 'a b', '--help'])
      t.same(
        [became.code, became.stdout, became.stderr],
        [7, '/run/alone/kubenet-agent --json a b --help\n', ''],
      )
    })

    await t.test('the program that older versions had for the command line goes', async t => {
      await host.sh(`mkdir /run/old; cp ${kubenet} /run/old/kubenet-cli`)
      const { code, stdout } = await install('--bin-dir', '/run/old')
      t.equal(code, 0)
      t.match(stdout, /kubenet-cli +removed +kubenet-cni/)
      t.same(await files('/run/old'), names)
      await host.sh('echo mine > /run/old/kubenet-cli')
      t.equal((await install('--bin-dir', '/run/old')).code, 0)
      t.same(await files('/run/old'), [...names, 'kubenet-cli'].sort(), "another's file stays")
    })

    await t.test('the installed program is called like any other plugin', async t => {
      const netns = await host.netns(`pod-${flavour}`)
      const conf = {
        cniVersion: '1.0.0',
        name: 'pods',
        type: 'bridge',
        bridge: 'br-install',
        isGateway: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.77.0.0/24' }]] },
      }
      const bridge = plugin(host, '/run/a/bin', 'bridge')
      t.equal((await bridge('ADD', conf, { netns })).json.ips[0].address, '10.77.0.2/24')
      t.equal((await bridge('DEL', conf, { netns })).code, 0)
    })

    await t.test('a second time there is nothing to do, and --json says so', async t => {
      const before = await host.sh('stat -c %i /run/a/bin/bridge')
      const { stdout } = await host.exec([
        '/run/a/bin/kubenet',
        'install',
        '--bin-dir',
        '/run/a/bin',
        '--json',
      ])
      const { programs } = parse(stdout)
      t.same(
        programs.map(({ name }: Json) => name),
        names,
      )
      t.ok(programs.every(({ action, previous }: Json) => action === 'unchanged' && previous === 'ours'))
      t.equal(await host.sh('stat -c %i /run/a/bin/bridge'), before)
    })

    await t.test('half a set is made whole, whatever is under the names', async t => {
      await host.sh(`
        cd /run/a/bin; rm portmap bandwidth host-local; printf '#!/bin/sh\n' > host-local; ln -sf /bin/true loopback
        chmod 700 host-local; echo keep > other`)
      const { code, stdout } = await install('--bin-dir', '/run/a/bin', '--json')
      t.equal(code, 0)
      const seen = Object.fromEntries(parse(stdout).programs.map((entry: Json) => [entry.name, entry]))
      t.match(seen, {
        portmap: { action: 'installed', previous: 'nothing' },
        bridge: { action: 'replaced', previous: 'ours' },
        'host-local': { action: 'replaced', previous: 'foreign' },
        loopback: { action: 'replaced', previous: 'link', target: '/bin/true' },
      })
      const kept = ['host-local.before-kubenet', 'loopback.before-kubenet']
      t.same(await files('/run/a/bin'), [...names, ...kept, 'other'].sort())
      t.equal(seen['host-local'].keptAs, '/run/a/bin/host-local.before-kubenet')
      t.equal(await host.sh('cat /run/a/bin/host-local.before-kubenet'), '#!/bin/sh\n')
      t.equal(await host.sh('readlink /run/a/bin/loopback.before-kubenet'), '/bin/true\n')
      await host.sh(
        `test "$(stat -c %i $(ls -d /run/a/bin/* | grep -v before) | sort -u | wc -l)" = 2; cmp /run/a/bin/loopback ${kubenet}`,
      )
      await host.sh('test "$(head -c 4 /bin/true | tail -c 3)" = ELF')
    })

    await t.test('--keep-foreign leaves what others have put there', async t => {
      await host.sh("printf '#!/bin/sh\n' > /run/a/bin/new && mv /run/a/bin/new /run/a/bin/portmap")
      const { code, stdout } = await install('--bin-dir', '/run/a/bin', '--keep-foreign')
      t.equal(code, 0)
      t.match(stdout, /portmap +kept +another's file/)
      t.equal(await host.sh('cat /run/a/bin/portmap'), '#!/bin/sh\n')
    })

    await t.test('it replaces programs that are running', async t => {
      await host.sh(`
        mkdir -p /run/busy; cp ${kubenet} /run/busy/bridge; echo >> /run/busy/bridge; chmod +x /run/busy/bridge
        mkfifo /run/stdin; (CNI_COMMAND=ADD CNI_CONTAINERID=c CNI_NETNS=/x CNI_IFNAME=eth0 CNI_PATH=/x \
          exec /run/busy/bridge < /run/stdin > /run/answer || true) & exec 9> /run/stdin
        ${kubenet} install --bin-dir /run/busy > /dev/null
        cmp /run/busy/bridge ${kubenet}
        echo '{' >&9; exec 9>&-; wait`)
      t.match(parse(await host.sh('cat /run/answer')), { code: 6 })
    })

    await t.test('with --pod-cidr it writes the network as "config" prints it', async t => {
      const flags = ['--pod-cidr', '10.88.0.0/24', '--network-plugin-mtu', '1400']
      const { code, stdout } = await install(
        '--bin-dir',
        '/run/b/bin',
        '--conf-dir',
        '/run/b/net.d',
        ...flags,
      )
      t.equal(code, 0)
      t.match(stdout, '/run/b/net.d/10-kubenet.conflist is written\n')
      t.equal(
        await host.sh('cat /run/b/net.d/10-kubenet.conflist'),
        await host.run(kubenet, 'config', ...flags),
      )
      t.equal(await host.sh('stat -c %a /run/b/net.d /run/b/net.d/*'), '755\n600\n')
    })

    await t.test('a wrong flag is refused before anything is made', async t => {
      const { code, stderr } = await install('--bin-dir', '/run/c/bin', '--pod-cidr', '10.88.0.1/24')
      t.equal(code, 2)
      t.match(stderr, /^kubenet: install: --pod-cidr: .* has host bits set[^\n]*\n$/)
      t.same(await files('/run/c'), [])
    })

    const refusals: {
      what: string
      setup: string
      args: string[]
      code: number
      says: RegExp
      nobody?: boolean
    }[] = [
      {
        what: 'a folder that is not there, with --no-create',
        setup: 'true',
        args: ['--no-create'],
        code: 3,
        says: /there is no folder \/run\/d\/bin; omit --no-create to create it/,
      },
      {
        what: 'a folder that the user may not make',
        setup: 'mkdir /run/d',
        args: [],
        code: 4,
        says: /make "\/run\/d\/bin": permission denied; run it as root/,
        nobody: true,
      },
      {
        what: 'a folder that the user may not write to',
        setup: 'mkdir -p /run/d/bin',
        args: [],
        code: 4,
        says: /write to "\/run\/d\/bin": permission denied; run it as root/,
        nobody: true,
      },
      {
        what: 'a file in the place of the folder',
        setup: 'mkdir /run/d; touch /run/d/bin',
        args: [],
        code: 1,
        says: /"\/run\/d\/bin" is not a folder/,
      },
      {
        what: 'a folder under one of the names',
        setup: 'mkdir -p /run/d/bin/portmap',
        args: [],
        code: 1,
        says: /"\/run\/d\/bin\/portmap" is a folder, not a plugin; remove it/,
      },
      {
        what: 'a disk that is full',
        setup: 'mkdir -p /run/d/bin; mount -t tmpfs -o size=512k tmpfs /run/d/bin',
        args: [],
        code: 1,
        says: /copy .* into the folder of the plugins: write: no space left on device/,
      },
      {
        what: 'an unwritable folder of networks',
        setup: 'mkdir -p /run/d/bin /run/d/net.d; mount -t tmpfs -o ro tmpfs /run/d/net.d',
        args: ['--pod-cidr', '10.0.0.0/24', '--conf-dir', '/run/d/net.d'],
        code: 1,
        says: /write to "\/run\/d\/net.d": read-only file system/,
      },
      {
        what: 'a name that cannot be replaced',
        setup:
          'mkdir -p /run/d/bin; echo old | tee /run/d/bin/bridge > /run/d/bin/portmap; mount --bind /bin/true /run/d/bin/portmap',
        args: [],
        code: 1,
        says: /rename .* to "\/run\/d\/bin\/portmap": device or resource busy/,
      },
    ]
    for (const { what, setup, args, code, says, nobody } of refusals) {
      await t.test(`${what}: one line, and nothing is done`, async t => {
        await host.sh(setup)
        const state = 'find /run/d -printf "%p %i %m %s\\n" 2>/dev/null | sort || true'
        const before = await host.sh(state)
        const line = [kubenet, 'install', '--bin-dir', '/run/d/bin', ...args]
        const output = await host.exec(nobody ? [...asNobody, ...line] : line)
        t.same([output.code, output.stdout], [code, ''])
        t.match(output.stderr, new RegExp(`^kubenet: install: ${says.source}[^\n]*\n$`))
        t.equal(await host.sh(state), before)
        await host.sh('umount /run/d/bin/portmap /run/d/bin /run/d/net.d 2>/dev/null || true; rm -rf /run/d')
      })
    }

    await t.test('the next installation removes old leftovers of a killed one', async t => {
      await host.sh('mkdir /run/e; touch /run/e/.kubenet-new-1-x')
      await install('--bin-dir', '/run/e')
      t.ok((await files('/run/e')).includes('.kubenet-new-1-x'), 'it may still be at work')
    })
  })
}
