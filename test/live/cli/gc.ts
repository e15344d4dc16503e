/** `kubenet gc`: what is left of containers that are gone, told first and removed when it is wanted. */
import t from 'tap'
import { anyFlavour, binDir, type Json } from '../../fixtures/cni'
import { type Output, PrivateHost } from '../../fixtures/private-host'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] kubenet gc`, async t => {
    const host = await PrivateHost.create(t)
    const folder = binDir(flavour)
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_PATH: folder, NETCONFPATH: '/run/net.d' }
    const ports = (hostPort: number) => ({
      CAP_ARGS: JSON.stringify({
        portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }],
        bandwidth: { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 1e6, egressBurst: 1e6 },
      }),
    })
    const kubenet = (args: readonly string[], more: Record<string, string> = {}): Promise<Output> =>
      host.exec([`${folder}/kubenet`, ...args], { env: { ...env, ...more } })
    const attachments = (output: Output): Json[] => JSON.parse(output.stdout).attachments

    for (const cniVersion of ['1.1.0', '1.0.0']) {
      const flags = [
        '--reference',
        '--pod-cidr',
        '10.55.0.0/24',
        '--cni-version',
        cniVersion,
        '--name',
        'pods',
      ]
      await t.test(`[${cniVersion}]`, async t => {
        await kubenet(['config', ...flags, '--write', '--cni-conf-dir', '/run/net.d'])
        const [blue, red] = [await host.netns('blue'), await host.netns('red')]
        await kubenet(['add', 'pods', blue], ports(8001))
        const living = await host.snapshot()
        await kubenet(['add', 'pods', red], ports(8002))
        t.equal((await host.sh('ls /var/lib/cni/results')).trim().split('\n').length, 2)

        await t.test('while all containers live there is nothing to remove', async t => {
          const output = await kubenet(['gc', 'pods', '--json'])
          t.same(
            attachments(output)
              .map(({ action, why }) => [action, why])
              .sort(),
            [
              ['keep', '/run/netns/blue is there'],
              ['keep', '/run/netns/red is there'],
            ],
          )
          t.equal((await kubenet(['gc', 'pods', '--yes'])).code, 0)
          t.equal((await kubenet(['check', 'pods', red])).code, 0)
        })

        await host.run('ip', 'netns', 'del', 'red')
        // The kernel takes its veth away a moment later.
        await host.sh('while [ "$(ip -o link show type veth | wc -l)" -gt 1 ]; do sleep 0.02; done')
        const before = await host.snapshot()

        await t.test('without --yes it says what it would remove, and why, and removes nothing', async t => {
          for (const args of [[], ['--dry-run']]) {
            const output = await kubenet(['gc', 'pods', '--json', ...args])
            t.equal(output.code, 0)
            const stale = attachments(output).filter(({ action }) => action === 'remove')
            t.match(stale, [{ ifName: 'eth0', why: '/run/netns/red is gone' }])
            const { objects } = stale[0]
            for (const object of [
              'cached result',
              /^lease 10\.55\.0\.\d+$/,
              /^ifb bwp/,
              /^host port tcp-8002/,
              'iptables rules',
            ]) {
              t.ok(
                objects.some((found: string) =>
                  object instanceof RegExp ? object.test(found) : found === object,
                ),
                String(object),
              )
            }
          }
          t.match(
            (await kubenet(['gc', 'pods'])).stdout,
            /2 known, 1 stale; nothing was removed; "kubenet gc pods --yes" removes them\n$/,
          )
          t.equal(await host.snapshot(), before)
        })

        await t.test('an attachment that is named is kept', async t => {
          const [stale] = attachments(await kubenet(['gc', 'pods', '--json'])).filter(
            ({ action }) => action === 'remove',
          )
          const line = ['gc', 'pods', '--yes', '--attachment', `${stale.containerID}:eth0`]
          t.equal((await kubenet(line)).code, 0)
          t.equal(await host.snapshot(), before)
        })

        await t.test('with --yes it removes that and nothing else', async t => {
          const { code, stdout, stderr } = await kubenet(['gc', 'pods', '--yes'])
          t.equal(code, 0, stderr)
          t.match(stdout, /removed .* \/run\/netns\/red is gone/)
          t.match(stdout, /2 known, 1 stale; 0 left\n$/)
          t.equal(await host.snapshot(), living)
          t.equal((await kubenet(['check', 'pods', blue])).code, 0)
          t.equal((await host.sh('ls /var/lib/cni/results')).trim().split('\n').length, 1)
        })

        await t.test('where nothing is valid it wants --all', async t => {
          await host.run('ip', 'netns', 'del', 'blue')
          // A veth that leads somewhere is a sign of life, and the kernel takes it away a moment later.
          await host.sh('while ip -o link show type veth | grep -q .; do sleep 0.02; done')
          const { code, stdout, stderr } = await kubenet(['gc', 'pods', '--no-dry-run'])
          t.same([code, stdout], [1, ''])
          t.match(
            stderr,
            /^kubenet: gc: no attachment of network "pods" is valid, [^\n]*; name [^\n]*--all[^\n]*\n$/,
          )
          const proposed = await kubenet(['gc', 'pods'])
          t.match(proposed.stderr, /no attachment of network "pods" is valid/)
          t.match(proposed.stdout, /nothing was removed; "kubenet gc pods --yes --all" removes them\n$/)
          t.equal((await kubenet(['gc', 'pods', '--yes', '--all'])).code, 0)
          t.equal(await host.sh('ls /var/lib/cni/results'), '')
          t.notMatch(await host.snapshot(), /8001|bwp|10\.55\.0\.\d+$/m)
        })
      })
    }

    await t.test('leases and interfaces of a container that no cache knows are found too', async t => {
      const green = await host.netns('green')
      await kubenet(['add', 'pods', green])
      await host.sh('rm /var/lib/cni/results/*')
      const [known] = attachments(await kubenet(['gc', 'pods', '--json']))
      t.match(known, { action: 'keep', why: '/run/netns/green is there' }, 'the lease knows its namespace')
      await host.run('ip', 'netns', 'del', 'green')
      await host.sh('while ip -o link show type veth | grep -q .; do sleep 0.02; done')
      await kubenet(['gc', 'pods', '--yes', '--all'])
      const [left] = attachments(await kubenet(['gc', 'pods', '--json']))
      if (/its namespace lives on/.test(left?.why)) {
        t.comment('the kernel used the number again')
        return host.sh('rm -r /var/lib/cni/networks/pods')
      }
      t.equal(left, undefined)
    })

    await t.test('a namespace that was replaced by another is not the old one', async t => {
      const black = await host.netns('black')
      await kubenet(['add', 'pods', black])
      const lease = await host.sh('ls /var/lib/cni/networks/pods | grep ^10')
      // So that the kernel does not give the number away again at once.
      await host.sh(
        'ip netns add keep; ip netns del black; ip netns add other; ip netns add black; ip netns del other',
      )
      await host.sh('while ip -o link show type veth | grep -q .; do sleep 0.02; done')
      const [known] = attachments(await kubenet(['gc', 'pods', '--json']))
      if (known.action === 'keep') return t.comment('the kernel used the number again')
      t.match(known, {
        action: 'remove',
        why: /^\/run\/netns\/black is another namespace now: \d+, and was \d+$/,
      })
      await kubenet(['gc', 'pods', '--yes', '--all'])
      t.notMatch(await host.sh('ls /var/lib/cni/networks/pods'), lease.trim())
    })

    await t.test('of a cached result alone its time tells whether a boot was since', async t => {
      const old = await host.netns('old')
      await kubenet(['add', 'pods', old])
      const path = (await host.sh(`grep -l '"${old}"' /var/lib/cni/results/*`)).trim()
      const known = async () => {
        const all = attachments(await kubenet(['gc', 'pods', '--json']))
        return all.find(({ containerID }) => path.includes(containerID))
      }
      await host.sh(`cp ${path} /run/kept`)
      await kubenet(['del', 'pods', old])
      await host.sh(`ip netns del old; cp /run/kept ${path}
        ip -o link show type bridge | cut -d: -f2 | xargs -r -n1 ip link del`)
      t.match(await known(), { action: 'keep', why: /the container may still run elsewhere/ })
      await host.sh(`touch -d "@$(($(sed -n 's/^btime //p' /proc/stat) - 60))" ${path}`)
      t.match(await known(), { action: 'remove', why: /all that is left was written before this boot/ })
      t.equal((await kubenet(['gc', 'pods', '--yes', '--all'])).code, 0)
      t.equal(await known(), undefined)
      t.equal(await host.sh(`ls ${path} 2> /dev/null || true`), '')
    })

    await t.test('the next DEL removes the unfinished file of a killed ADD', async t => {
      const torn = '/var/lib/cni/results/.new-7-abc'
      await host.sh(`echo '{' > ${torn}`)
      t.equal((await kubenet(['del', 'pods', '/run/netns/never'])).code, 0)
      t.equal(await host.sh(`ls ${torn} 2> /dev/null || true`), '')
    })

    await t.test('what cannot be is refused', async t => {
      const cases: [string[], number, RegExp][] = [
        [['gc', 'pods', '--yes', '--dry-run'], 2, /--yes and --dry-run exclude each other/],
        [['gc', 'pods', '--attachment', 'c1'], 2, /--attachment: "c1" is not CONTAINER:INTERFACE/],
        [['gc', 'nope'], 3, /no network "nope"/],
      ]
      for (const [line, code, says] of cases) {
        const output = await kubenet(line)
        t.same([output.code, output.stdout], [code, ''], line.join(' '))
        t.match(output.stderr, says)
      }
    })
  })
}
