/** The cost of a call does not grow with the number of leases: it opens none of the others. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Answer, binDir, flavours, peerDir } from '../../fixtures/cni'
import { type HostLocal, hostLocalOn, leaseFolder } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const conf = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'bridge',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.9.0.0/16' }]] },
}

/** Makes `count` leases as the reference leaves them, from 10.9.0.10 on. */
const makeLeases = (host: PrivateHost, count: number) =>
  host.sh(`
    rm -rf /var/lib/cni/networks; mkdir -p ${leaseFolder}; cd ${leaseFolder}
    awk 'BEGIN { for (i = 10; i < ${count} + 10; i++) {
      file = "10.9." int(i / 256) "." i % 256; printf "old%d\\r\\neth0", i > file; close(file); last = file
    } printf "%s", last > "last_reserved_ip.0" }'
    chmod 600 10.*`)

const networks = '/var/lib/cni/networks'

/** What a command opens below the leases' folder, each by its name there. */
const opened = async (t: Test, host: PrivateHost, bin: string, command: string): Promise<string[]> => {
  const trace = join(t.testdir(), 'trace')
  const { code, stdout } = await host.exec(
    ['strace', '-f', '-o', trace, '-e', 'trace=openat', `${bin}/host-local`],
    {
      stdin: JSON.stringify(conf),
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: 'c1',
        CNI_NETNS: '/run/netns/none',
        CNI_IFNAME: 'eth0',
        CNI_PATH: bin,
      },
    },
  )
  t.equal(code, 0, stdout)
  return [...readFileSync(trace, 'utf8').matchAll(/openat\([^"]*"([^"]*)"/g)]
    .map(match => match[1] ?? '')
    .filter(path => path.startsWith(networks))
    .map(path => path.slice(networks.length + 1))
}

/** The record of c1's eth0. */
const record = '.kubenet/net/71eac2c1e7fdd98f6a9b1409'

const addressOf = ({ json }: Answer): string => json.ips[0].address.split('/')[0]

const testOpens = async (t: Test, host: PrivateHost, bin: string, count: number) => {
  const hostLocal = hostLocalOn(host, bin)
  await makeLeases(host, count)
  // The first call after the reference was here reads what it left; the ones that follow need not.
  const first = addressOf(await hostLocal('ADD', conf, { containerID: 'first' }))
  const address = first.replace(/\d+$/, byte => String(Number(byte) + 1))
  const foreign = '.kubenet/net/foreign'
  t.same(
    await opened(t, host, bin, 'ADD'),
    [
      'net/lock',
      foreign, // has the container a lease that the reference made?
      'net/last_reserved_ip.0',
      'net/.new',
      'net/last_reserved_ip.0',
      record,
    ],
    `ADD among ${count} leases`,
  )
  t.same(
    await opened(t, host, bin, 'DEL'),
    ['net/lock', record, `net/${address}`],
    `DEL among ${count} leases`,
  )
  t.same(await opened(t, host, bin, 'DEL'), ['net/lock', foreign], `DEL of nothing among ${count} leases`)
}

const rounds = 9

/** The median milliseconds of an ADD and a DEL together, as a caller sees them. */
const measure = async (hostLocal: HostLocal): Promise<number> => {
  const times: number[] = []
  for (let i = 0; i < rounds; i++) {
    const started = performance.now()
    await hostLocal('ADD', conf, { containerID: `timed${i}` })
    await hostLocal('DEL', conf, { containerID: `timed${i}` })
    times.push(performance.now() - started)
  }
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? Number.NaN
}

const noStrace = existsSync('/usr/bin/strace') ? false : 'strace is not installed'
const noPeer = existsSync(`${peerDir}/host-local`) ? false : `${peerDir}/host-local is not installed`

for (const flavour of flavours) {
  t.test(`[${flavour}] host-local among many leases`, async t => {
    const host = await PrivateHost.create(t)
    const bin = binDir(flavour)
    await t.test('opens the same few files, whatever their number', { skip: noStrace }, async t => {
      for (const count of [10, 10_000]) await testOpens(t, host, bin, count)
    })
    const noContest = flavour === 'node' ? 'the start of Node.js alone takes longer' : noPeer
    await t.test('is faster than the reference', { skip: noContest }, async t => {
      await makeLeases(host, 10_000)
      const theirs = await measure(hostLocalOn(host, peerDir))
      await hostLocalOn(host, bin)('ADD', conf, { containerID: 'first' })
      const ours = await measure(hostLocalOn(host, bin))
      t.comment(`ADD and DEL: ours ${ours.toFixed(1)} ms, theirs ${theirs.toFixed(1)} ms`)
      t.ok(ours < theirs, `${(ours / theirs).toFixed(2)} of its time`)
    })
  })
}
