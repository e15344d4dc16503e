/** One store, two implementations: what either leased, the other knows, checks and frees, also at the same time. */
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { type Answer, anyFlavour, binDir, flavours, type Json, peerDir } from '../../fixtures/cni'
import { type HostLocal, hostLocalOn, leaseFolder, leasesOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const skip = existsSync(`${peerDir}/host-local`) ? false : `${peerDir}/host-local is not installed`

// The newest version that the peer, Debian's 1.1.1, speaks.
const confOf = (...subnets: string[]) => ({
  cniVersion: '1.0.0',
  name: 'net',
  type: 'bridge',
  ipam: { type: 'host-local', ranges: subnets.map(subnet => [{ subnet }]) },
})

const dual = confOf('10.1.2.0/24', 'fd00::/64')

const addressesOf = ({ json }: Answer): string[] => json.ips.map(({ address }: Json) => address.split('/')[0])

/** `first` leases, `second` goes on: everything but GC, which only ours has. */
const testHandOver = async (t: Test, host: PrivateHost, first: HostLocal, second: HostLocal) => {
  const prevResult = (await first('ADD', dual)).json
  t.same(await leasesOn(host), ['10.1.2.2', 'fd00::2'])
  const bytes = await host.sh(`cd ${leaseFolder}; cat 10.1.2.2 last_reserved_ip.0 last_reserved_ip.1`)
  t.equal(bytes, 'c1\r\neth010.1.2.2fd00::2')
  t.equal((await second('CHECK', { ...dual, prevResult })).code, 0, 'CHECK')
  t.equal((await second('CHECK', { ...dual, prevResult }, { ifName: 'eth1' })).code, 1, 'CHECK of another')
  const again = await second('ADD', dual)
  t.match(
    again.json.msg,
    /10\.1\.2\.2 has been allocated to c1, duplicate allocation is not allowed$/,
    'ADD again',
  )
  t.match(
    addressesOf(await second('ADD', dual, { ifName: 'eth1' })),
    ['10.1.2.3', 'fd00::3'],
    'ADD of another',
  )
  t.match(addressesOf(await first('ADD', dual, { containerID: 'c2' })), ['10.1.2.4', 'fd00::4'], 'and back')
  t.equal((await second('DEL', dual)).code, 0, 'DEL')
  t.same(await leasesOn(host), ['10.1.2.3', '10.1.2.4', 'fd00::3', 'fd00::4'])
  t.equal((await first('CHECK', dual)).code, 1, 'CHECK of the other implementation finds that it is gone')
  t.equal((await first('DEL', dual)).code, 0)
  t.match(addressesOf(await first('ADD', dual)), ['10.1.2.5', 'fd00::5'], 'the round goes on')
  for (const [containerID, ifName] of [
    ['c1', 'eth0'],
    ['c1', 'eth1'],
    ['c2', 'eth0'],
  ] as const) {
    t.equal((await second('DEL', dual, { containerID, ifName })).code, 0)
  }
  t.same(await leasesOn(host), [])
}

/** Theirs frees an address of ours and gives it to another: no record of ours may stand in the way. */
const testStolenRecord = async (t: Test, host: PrivateHost, ours: HostLocal, theirs: HostLocal) => {
  const tiny = confOf('10.1.2.0/30')
  await ours('ADD', tiny, { containerID: 'a' })
  await theirs('DEL', tiny, { containerID: 'a' })
  await theirs('ADD', tiny, { containerID: 'b' })
  t.equal((await ours('CHECK', tiny, { containerID: 'b' })).code, 0)
  t.equal((await ours('CHECK', tiny, { containerID: 'a' })).code, 1)
  t.equal((await ours('DEL', tiny, { containerID: 'a' })).code, 0)
  t.same(await leasesOn(host), ['10.1.2.2'], 'a DEL that comes late frees nothing of others')
  t.match((await ours('ADD', tiny, { containerID: 'b' })).json.msg, /10\.1\.2\.2 has been allocated to b/)
  t.equal((await ours('DEL', tiny, { containerID: 'b' })).code, 0)
  t.same(await leasesOn(host), [])
}

/** Runs `work` for every item, so many at a time. */
const pool = async <T>(
  items: readonly T[],
  size: number,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: size }, worker))
}

const mostTries = 5

/** As a runtime does: what answers code 11, "try again later", is tried again. On a busy machine 5 s are soon over. */
const untilLocked = async (work: () => Promise<Answer>): Promise<Answer> => {
  for (let tries = 1; ; tries++) {
    const answer = await work()
    if (answer.json?.code !== 11 || tries === mostTries) return answer
  }
}

/** `count` containers get an address each, half of them from either, and give it back to the other. */
const testCrowd = async (
  t: Test,
  host: PrivateHost,
  [ours, theirs]: readonly [HostLocal, HostLocal],
  { count, atOnce }: { count: number; atOnce: number },
) => {
  const conf = confOf('10.1.0.0/24')
  const containers = Array.from({ length: count }, (_, i) => ({ containerID: `c${i}`, mine: i % 2 === 0 }))
  const given: string[] = []
  const failed: string[] = []
  await pool(containers, atOnce, async ({ containerID, mine }) => {
    const answer = await untilLocked(() => (mine ? ours : theirs)('ADD', conf, { containerID }))
    if (answer.code === 0) given.push(...addressesOf(answer))
    else failed.push(answer.stdout)
  })
  t.same(failed, [], 'every ADD succeeds')
  t.equal(new Set(given).size, count, 'no address is given twice')
  t.same(await leasesOn(host), [...given].sort())
  const owners = await host.sh(
    `cd ${leaseFolder}; for f in 10.*; do head -1 $f | tr -d '\\r'; done | sort -u | wc -l`,
  )
  t.equal(Number(owners), count, 'and every container has one')
  await pool(containers, atOnce, async ({ containerID, mine }) => {
    const { code, stdout } = await untilLocked(() => (mine ? theirs : ours)('DEL', conf, { containerID }))
    t.same([code, stdout], [0, ''], `DEL ${containerID}`)
  })
  t.same(await leasesOn(host), [], 'nothing is left')
}

for (const flavour of flavours) {
  t.test(`[${flavour}] host-local and the reference on one store`, { skip }, async t => {
    const host = await PrivateHost.create(t)
    const ours = hostLocalOn(host, binDir(flavour))
    const theirs = hostLocalOn(host, peerDir)
    const clear = () => host.sh('rm -rf /var/lib/cni/networks')
    await t.test('theirs leases, ours goes on', t => testHandOver(t, host, theirs, ours))
    await clear()
    await t.test('ours leases, theirs goes on', t => testHandOver(t, host, ours, theirs))
    await clear()
    await t.test('changes of the reference to our leases are seen', t =>
      testStolenRecord(t, host, ours, theirs),
    )
    await clear()
    await t.test('GC frees what theirs leased', async t => {
      for (const containerID of ['a', 'b']) await theirs('ADD', dual, { containerID })
      const attachments = [{ containerID: 'b', ifname: 'eth0' }]
      const newest = { ...dual, cniVersion: '1.1.0', 'cni.dev/valid-attachments': attachments }
      t.equal((await ours('GC', newest)).code, 0)
      t.same(await leasesOn(host), ['10.1.2.3', 'fd00::3'])
    })
    await clear()
    const both = [ours, theirs] as const
    // A start of the Node flavour takes as much of the machine as ten of the other.
    const count = flavour === 'standalone' ? 200 : 24
    if (anyFlavour.includes(flavour))
      await t.test(`${count} ADDs and DELs, half of them theirs, 8 at a time`, t =>
        testCrowd(t, host, both, { count, atOnce: 8 }),
      )
    await t.test(`${count} ADDs and DELs, half of them theirs, all at once`, t =>
      testCrowd(t, host, both, { count, atOnce: count }),
    )
  })
}
