/** Pipes, sockets, devices, links and huge files under the names that host-local looks for. Nothing hangs, none is read. */
import t, { type Test } from 'tap'
import { leaseKeyOf } from '../../../src/attachment/lease'
import { anyFlavour, binDir, flavours } from '../../fixtures/cni'
import { type HostLocal, hostLocalConf, hostLocalOn, leaseFolder, leasesOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const conf = hostLocalConf({ ranges: [[{ subnet: '10.1.2.0/28' }]], cooldownSeconds: 1, sticky: 'pod' })
const valid = (...ids: string[]) => ({
  ...conf,
  'cni.dev/valid-attachments': ids.map(containerID => ({ containerID, ifname: 'eth0' })),
})
const podArgs = { args: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web' }

const ours = '/var/lib/cni/networks/.kubenet/net'
const keyOf = (containerID: string) => leaseKeyOf({ containerID, ifName: 'eth0' })

/** What may be in a file's place, how a shell makes it at "$1", and what it is called. */
const kinds = [
  ['mkfifo "$1"', 'is a named pipe, not a regular file'],
  [`perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Listen => 1, Local => shift)' "$1"`, 'is a socket'],
  // Who may make no device has a pipe instead.
  ['mknod "$1" c 1 5 2> /dev/null || mkfifo "$1"', 'is a (device|named pipe), not a regular file'],
  ['ln -s /etc/hostname "$1"', 'is a symbolic link'],
  ['truncate -s 1G "$1"', 'has 1073741824 bytes, and more than 4194304 are not read'],
] as const

const put = (host: PrivateHost, make: string, path: string) =>
  host.sh(`set -- ${path}; mkdir -p "\${1%/*}"; rm -rf "$1"; ${make}`)

/** All verbs for a container that comes and goes, beside one that stays. */
const testVerbs = async (t: Test, hostLocal: HostLocal, title: string): Promise<string> => {
  const added = await hostLocal('ADD', conf, { containerID: 'c2', ...podArgs })
  t.equal(added.code, 0, `${title}: ADD: ${added.stdout}`)
  t.equal((await hostLocal('CHECK', { ...conf, prevResult: added.json }, { containerID: 'c2' })).code, 0)
  t.equal((await hostLocal('STATUS', conf)).stdout, '', `${title}: STATUS`)
  t.equal((await hostLocal('GC', valid('c1', 'c2'))).stdout, '', `${title}: GC`)
  t.equal((await hostLocal('DEL', conf, { containerID: 'c2', ...podArgs })).stdout, '', `${title}: DEL`)
  return added.stderr
}

/** A lease's name: the address is not given out, and the warning says why. */
const testLeaseNames = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  for (const [make, what] of kinds) {
    await host.sh('rm -rf /var/lib/cni/networks')
    await put(host, make, `${leaseFolder}/10.1.2.2`)
    const { json, stderr } = await hostLocal('ADD', conf)
    t.equal(json.ips?.[0].address, '10.1.2.3/28', what)
    t.match(stderr, new RegExp(`^host-local: "${leaseFolder}/10.1.2.2" ${what}`), 'the file is named')
    const asked = await hostLocal('ADD', conf, { containerID: 'c3', args: 'IP=10.1.2.2' })
    const held = new RegExp(`^leased by another object: "${leaseFolder}/10.1.2.2" ${what}`)
    t.match(asked.json, { code: 11, details: held })
    await testVerbs(t, hostLocal, what)
    t.same(await leasesOn(host), ['10.1.2.2', '10.1.2.3'], `${what}: what is no lease stays`)
  }
}

/** Names of what is only advice, or is written again: nothing more than a name is lost. */
const testOwnNames = async (t: Test, host: PrivateHost, hostLocal: HostLocal, isFirst: boolean) => {
  const names = [
    `${leaseFolder}/last_reserved_ip.0`,
    `${leaseFolder}/.new`,
    `${ours}/${keyOf('c1')}`,
    `${ours}/${keyOf('c2')}`,
    `${ours}/foreign`,
    `${ours}/released/10.1.2.3`,
    `${ours}/sticky/10.1.2.3`,
  ]
  // The code is the same in both flavours; opening a pipe is not.
  for (const [make, what] of isFirst ? kinds : kinds.slice(0, 1)) {
    for (const name of names) {
      await host.sh('rm -rf /var/lib/cni/networks')
      await hostLocal('ADD', conf, { containerID: 'c1' })
      await put(host, make, name)
      await testVerbs(t, hostLocal, `${name} ${what}`)
      t.same(await leasesOn(host), ['10.1.2.2'], `${name} ${what}: the one that stays has its lease`)
      const again = await hostLocal('ADD', conf, { containerID: 'c1' })
      t.match(again.json, { code: 7, msg: /10\.1\.2\.2 has been allocated to c1/ }, `${name} ${what}`)
    }
  }
  t.equal(await host.sh('cat /etc/hostname'), await host.sh('cat /run/hostname'), 'no link was followed')
}

/** flock(2) works on a pipe as well: it is the same file for every process. */
const testLock = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  await host.sh('rm -rf /var/lib/cni/networks')
  await put(host, 'mkfifo "$1"', `${leaseFolder}/lock`)
  await testVerbs(t, hostLocal, 'a pipe for a lock')
  await put(host, 'ln -s /etc/hostname "$1"', `${leaseFolder}/lock`)
  t.match((await hostLocal('ADD', conf)).json, { code: 5, msg: `lock "${leaseFolder}/lock": ELOOP` })
}

/** The list of the reference plugin's leases, grown too large: ADD opens the leases themselves. */
const testForeignList = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  await host.sh(`rm -rf /var/lib/cni/networks; mkdir -p ${leaseFolder}`)
  await host.sh(`printf 'c9\\r\\neth0' > ${leaseFolder}/10.1.2.9`)
  await hostLocal('ADD', conf)
  t.match(await host.sh(`cat ${ours}/foreign`), `${keyOf('c9')} 10.1.2.9\n`)
  // As the folder does not change, it stays marked as clean.
  await host.sh(`truncate -s 1G ${ours}/foreign`)
  const again = await hostLocal('ADD', conf, { containerID: 'c9' })
  t.match(
    again.json,
    { code: 7, msg: /10\.1\.2\.9 has been allocated to c9/ },
    'no container gets a second address',
  )
  t.match(again.stderr, `host-local: "${ours}/foreign" has 1073741824 bytes`, 'the file is named')
  t.equal((await hostLocal('DEL', conf, { containerID: 'c9' })).stdout, '')
  t.same(await leasesOn(host), ['10.1.2.2'])
  t.equal(await host.sh(`stat -c %s ${ours}/foreign 2> /dev/null || echo gone`), 'gone\n')
}

const testResolvConf = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  const path = '/run/resolv.conf'
  const resolving = hostLocalConf({ subnet: '10.1.2.0/28', resolvConf: path })
  for (const [make, what] of kinds.filter(([, what]) => !what.includes('link'))) {
    await put(host, make, path)
    const { json } = await hostLocal('ADD', resolving, { containerID: 'c5' })
    t.match(json, { code: 5, msg: `read resolvConf "${path}"`, details: new RegExp(`^"${path}" ${what}`) })
  }
  await host.sh(`echo nameserver 192.0.2.53 > /run/real; ln -sf /run/real ${path}`)
  const { json } = await hostLocal('ADD', resolving, { containerID: 'c5' })
  t.same(json.dns, { nameservers: ['192.0.2.53'] }, 'links are usual here')
}

for (const flavour of flavours) {
  t.test(`[${flavour}] host-local and files that are none`, async t => {
    const host = await PrivateHost.create(t)
    const hostLocal = hostLocalOn(host, binDir(flavour))
    await host.sh('cp /etc/hostname /run/hostname')
    const testing = (title: string, work: (t: Test) => Promise<void>) => t.test(title, work)
    await testing('in the place of a lease', t => testLeaseNames(t, host, hostLocal))
    await testing('in the place of what it notes', t =>
      testOwnNames(t, host, hostLocal, anyFlavour.includes(flavour)),
    )
    await testing('in the place of the lock', t => testLock(t, host, hostLocal))
    await testing('in the place of the list of foreign leases', t => testForeignList(t, host, hostLocal))
    await testing('in the place of resolvConf', t => testResolvConf(t, host, hostLocal))
  })
}
