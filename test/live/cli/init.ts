/** `kubenet init` and `kubenet config --network-plugin noop`: module and sysctls of a node. */
import t from 'tap'
import { binDir, flavours, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const keys = {
  bridge4: 'net/bridge/bridge-nf-call-iptables',
  bridge6: 'net/bridge/bridge-nf-call-ip6tables',
  forward4: 'net/ipv4/ip_forward',
  forward6: 'net/ipv6/conf/all/forwarding',
}

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet init`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = `${binDir(flavour)}/kubenet`
    const has = async (key: string) => (await host.exec(['test', '-e', `/proc/sys/${key}`])).code === 0
    if (!(await has(keys.bridge4))) return t.comment('this kernel has no br_netfilter')
    const read = async (key: string) => (await host.sh(`cat /proc/sys/${key}`)).trim()
    const write = (key: string, value: string) => host.sh(`echo ${value} > /proc/sys/${key}`)
    const reset = async () => {
      for (const key of Object.values(keys)) await write(key, '0')
    }
    const init = (...args: string[]) => host.exec([kubenet, 'init', ...args])
    const actions = (text: string): Record<string, string> =>
      Object.fromEntries((JSON.parse(text) as Json).sysctls.map(({ key, action }: Json) => [key, action]))

    await t.test('--dry-run says what would change and changes nothing', async t => {
      await reset()
      const { code, stdout } = await init('--dry-run')
      t.equal(code, 0)
      t.equal(stdout.match(/would change, is 0/g)?.length, 4)
      for (const key of Object.values(keys)) t.equal(await read(key), '0', key)
    })

    await t.test('it sets what is not set, and says of each what it did', async t => {
      await reset()
      await write(keys.forward4, '1')
      const { code, stdout } = await init()
      t.equal(code, 0)
      t.match(stdout, /^net\.ipv4\.ip_forward +1 +as it was/m)
      t.match(stdout, /^net\.bridge\.bridge-nf-call-iptables +1 +changed, was 0/m)
      for (const key of Object.values(keys)) t.equal(await read(key), '1', key)
      t.same(Object.values(actions((await init('--json')).stdout)), ['keep', 'keep', 'keep', 'keep'])
    })

    await t.test('a note has the value before the last change', async t => {
      await write(keys.forward4, '0')
      await init()
      const file = '/run/kubenet-cni/sysctls/net%2Fipv4%2Fip_forward'
      await host.sh(`echo old > ${file}`)
      await init()
      t.equal(await host.sh(`cat ${file}`), 'old\n', 'nothing was changed')
      await write(keys.forward4, '0')
      await init()
      t.equal(await host.sh(`cat ${file}`), '0\n1\n')
    })

    await t.test('an interface that learns its routes from advertisements goes on doing so', async t => {
      await reset()
      await host.sh(`
        ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up
        ip -6 route add 2001:db8:1::/64 dev up0 proto ra`)
      await write('net/ipv6/conf/up0/accept_ra', '1')
      const { stdout } = await init('--json')
      t.equal(actions(stdout)['net.ipv6.conf.up0.accept_ra'], 'changed')
      t.equal(await read('net/ipv6/conf/up0/accept_ra'), '2')
      t.equal(await read('net/ipv6/conf/up1/accept_ra'), '1', 'one without such routes is left alone')
      const doctor = async () => {
        const { stdout } = await host.exec([kubenet, 'doctor', '--json'])
        return (JSON.parse(stdout) as Json).lines.find(({ check }: Json) => check === 'accept_ra')
      }
      t.match(await doctor(), { status: 'ok', says: 'advertised routes of up0 are kept' })
      await write('net/ipv6/conf/up0/accept_ra', '0')
      t.match(await doctor(), { status: 'ok' }, 'a network manager processes them itself')
      await write('net/ipv6/conf/up0/accept_ra', '1')
      t.match(await doctor(), { code: 'KN0007', remedy: /^sysctl -w net\.ipv6\.conf\.up0\.accept_ra=2/ })
    })

    await t.test('a sysctl that cannot be set is one line, and those before it are restored', async t => {
      await reset()
      await host.sh(
        `echo 0 > /run/zero; mount --bind -o ro /run/zero /proc/sys/${keys.forward4} && mount -o remount,bind,ro /proc/sys/${keys.forward4}`,
      )
      const { code, stdout, stderr } = await init()
      t.same([code, stdout], [1, ''])
      t.match(
        stderr,
        /^kubenet: init: set sysctl net\.ipv4\.ip_forward to 1: open .*: read-only file system\n$/,
      )
      t.equal(await read(keys.bridge4), '0')
      const notes = await host.sh('ls /run/kubenet-cni/sysctls')
      t.notMatch(notes, /bridge-nf-call/, 'no note says that they are ours')
      await host.sh(`umount /proc/sys/${keys.forward4}`)
    })

    await t.test('the user nobody gets an error', async t => {
      await reset()
      const asNobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']
      const line = [...asNobody, 'env', '-u', 'NODE_OPTIONS', kubenet, 'init']
      const { code, stderr } = await host.exec(line)
      t.equal(code, 4)
      t.match(stderr, /^kubenet: init: set sysctl [^\n]*: permission denied; run it as root\n$/)
    })

    await t.test('noop is one sysctl, which --write sets', async t => {
      await reset()
      const shown = await host.exec([kubenet, 'config', '--network-plugin', 'noop'])
      t.equal(shown.stdout, 'net.bridge.bridge-nf-call-iptables = 1 (it is 0)\n')
      t.match(shown.stderr, /nothing was changed; --write sets it/)
      t.equal(await read(keys.bridge4), '0')
      const { code, stdout } = await host.exec([kubenet, 'config', '--network-plugin', 'noop', '--write'])
      t.same([code, stdout], [0, 'net.bridge.bridge-nf-call-iptables = 1 (it was 0)\n'])
      t.same([await read(keys.bridge4), await read(keys.bridge6)], ['1', '0'])
    })

    await t.test('a missing module is loaded, or the error says why not', async t => {
      // An empty folder over the keys is how a kernel without the module looks; the program is a stand-in.
      await reset()
      await host.sh(`
        mount -t tmpfs tmpfs /proc/sys/net/bridge; mkdir -p /run/good /run/bad
        printf '#!/bin/sh\n[ "$*" = br_netfilter ] && exec umount /proc/sys/net/bridge\n' > /run/good/modprobe
        printf '#!/bin/sh\necho modprobe: FATAL: Module br_netfilter not found >&2; exit 1\n' > /run/bad/modprobe
        chmod +x /run/*/modprobe`)
      const withPath = (folder: string, ...args: string[]) =>
        host.exec([kubenet, 'init', ...args], { env: { PATH: `${folder}:/usr/bin:/bin` } })
      const bad = await withPath('/run/bad')
      t.equal(bad.code, 1)
      t.match(
        bad.stderr,
        /^kubenet: init: the kernel's br_netfilter is not there and cannot be loaded: modprobe: FATAL: [^\n]*; load it on the node itself [^\n]*\n$/,
      )
      t.equal(await read(keys.forward4), '0', 'nothing else is done then')
      const optional = await withPath('/run/bad', '--module-optional')
      t.equal(optional.code, 0)
      t.match(
        optional.stderr,
        /^kubenet: init: the kernel's br_netfilter is not there .*: containers cannot reach a service /,
      )
      t.match(optional.stdout, /^br_netfilter +module +cannot be loaded/m)
      t.match(
        optional.stdout,
        /^net\.bridge\.bridge-nf-call-iptables +1 +not there +br_netfilter is missing/m,
      )
      t.equal(await read(keys.forward4), '1')
      await write(keys.forward4, '0')
      t.match((await withPath('/run/good', '--dry-run')).stdout, /^br_netfilter +module +would be loaded/m)
      const good = await withPath('/run/good')
      t.equal(good.code, 0, good.stderr)
      t.match(good.stdout, /^br_netfilter +module +loaded/m)
      t.equal(await read(keys.bridge4), '1')
    })
  })
}
