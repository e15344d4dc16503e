/**
 * Each system call of ADD that changes something is made to fail, and ADD is killed before each of them. A failure
 * leaves nothing. Whatever a kill leaves DEL removes, or GC where no DEL comes, and the next ADD works.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { binDir, flavours } from '../../fixtures/cni'
import { type HostLocal, hostLocalOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const networks = '/var/lib/cni/networks'

const conf = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'bridge',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00::/64' }]] },
}

/** What changes a file or a folder, under the names that either runtime calls it by. */
const changing = [
  'openat',
  'mkdir',
  'mkdirat',
  'write',
  'pwrite64',
  'fsync',
  'sync_file_range',
  'ftruncate',
  'link',
  'linkat',
  'unlink',
  'unlinkat',
  'rename',
  'renameat2',
  'utimensat',
]

const env = (bin: string) => ({
  PATH: '/usr/bin:/bin',
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/none',
  CNI_IFNAME: 'eth0',
  CNI_PATH: bin,
})

/** Runs ADD under strace; its output is `trace`. */
const straced = (host: PrivateHost, bin: string, trace: string, ...options: string[]) =>
  host.exec(
    ['strace', '-f', '-y', '-o', trace, '-e', `trace=${changing.join(',')}`, ...options, `${bin}/host-local`],
    { stdin: JSON.stringify(conf), env: env(bin) },
  )

type Point = { readonly syscall: string; readonly nth: number; readonly line: string }

const isChange = (line: string): boolean => line.includes(networks) && !line.includes('O_RDONLY')

/** The calls of a trace that change something below the leases' folder: each is the n-th of its thread and name. */
const pointsOf = (trace: string): Point[] => {
  const counts = new Map<string, number>()
  const points: Point[] = []
  for (const line of trace.split('\n')) {
    const [, thread = '', syscall = ''] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    const name = `${thread} ${syscall}`
    const nth = (counts.get(name) ?? 0) + 1
    counts.set(name, nth)
    if (syscall && isChange(line)) points.push({ syscall, nth, line: line.replace(/^\d+ +/, '') })
  }
  return points
}

/** All that is below the leases' folder but what stays for good. */
const left = async (host: PrivateHost): Promise<string[]> =>
  (await host.sh(`cd ${networks} 2>/dev/null && find . -mindepth 1 ! -type d | sort || true`))
    .split('\n')
    .filter(path => path && !/\/(lock|last_reserved_ip\.\d)$/.test(path))

const cleanUps: Record<string, (hostLocal: HostLocal) => Promise<{ code: number; stdout: string }>> = {
  DEL: hostLocal => hostLocal('DEL', conf),
  GC: hostLocal => hostLocal('GC', { ...conf, 'cni.dev/valid-attachments': [] }),
}

const testKill = async (t: Test, host: PrivateHost, bin: string, { syscall, nth, line }: Point) => {
  const hostLocal = hostLocalOn(host, bin)
  for (const [name, cleanUp] of Object.entries(cleanUps)) {
    const title = `${name} after a kill before ${line.slice(0, 110)}`
    await host.sh(`rm -rf ${networks}`)
    const killed = await straced(host, bin, '/dev/null', '-e', `inject=${syscall}:signal=KILL:when=${nth}`)
    t.not(killed.code, 0, `${title}: it was killed`)
    const { code, stdout } = await cleanUp(hostLocal)
    t.same([code, stdout], [0, ''], title)
    t.same(await left(host), [], `${title}: nothing is left`)
    const again = await hostLocal('ADD', conf)
    t.equal(again.json.ips?.length, 2, `${title}: ADD works`)
    t.equal((await hostLocal('DEL', conf)).code, 0)
  }
}

/** What must not be there after an ADD that failed: a lease, or a file that was being written. */
const leasesLeft = async (host: PrivateHost): Promise<string[]> =>
  (await left(host)).filter(path => !path.startsWith('./.kubenet'))

const testFailure = async (t: Test, host: PrivateHost, bin: string, { syscall, nth, line }: Point) => {
  const hostLocal = hostLocalOn(host, bin)
  const title = `an error of ${line.slice(0, 110)}`
  await host.sh(`rm -rf ${networks}`)
  const inject = `inject=${syscall}:error=EIO:when=${nth}`
  const { code, stdout } = await straced(host, bin, '/dev/null', '-e', inject)
  const answer = JSON.parse(stdout || '{}')
  if (code === 0) {
    t.equal((await hostLocal('CHECK', { ...conf, prevResult: answer })).code, 0, `${title}: is no loss`)
    const again = await hostLocal('ADD', conf)
    t.match(again.json.msg, /duplicate allocation is not allowed$/, title)
  } else {
    t.match(answer, { code: 5, msg: /EIO/ }, title)
    t.same(await leasesLeft(host), [], `${title}: leaves nothing`)
  }
  t.equal((await hostLocal('DEL', conf)).code, 0, title)
  t.same(await left(host), [], `${title}: DEL leaves nothing`)
}

const probe = existsSync('/usr/bin/strace') ? false : 'strace is not installed'

/**
 * On tmpfs as on ext4 one wait is for content and name. Of ramfs nothing is known, so that each is waited for: that is the
 * only difference.
 */
const stores = {
  tmpfs: { waits: ['sync_file_range', 'fsync'], isOfInterest: () => true },
  ramfs: { waits: ['fsync'], isOfInterest: ({ syscall }: Point) => ['fsync', 'linkat'].includes(syscall) },
}

for (const flavour of flavours.filter(name => name === 'standalone')) {
  for (const [store, { waits, isOfInterest }] of Object.entries(stores)) {
    t.test(`[${flavour}] host-local on ${store} survives failures and kill -9`, { skip: probe }, async t => {
      const host = await PrivateHost.create(t)
      await host.sh(`mount -t ${store} ${store} /var/lib/cni`)
      const bin = binDir(flavour)
      const trace = join(t.testdir(), 'trace')
      t.equal((await straced(host, bin, trace)).code, 0)
      const points = pointsOf(readFileSync(trace, 'utf8'))
      t.ok(points.length > 20, `${points.length} points`)
      const usual = ['mkdirat', 'openat', 'write', 'linkat', 'unlinkat', 'ftruncate', 'utimensat']
      for (const needed of [...usual, ...waits]) {
        t.ok(
          points.some(({ syscall }) => syscall === needed),
          `${needed} is among them`,
        )
      }
      for (const point of points.filter(isOfInterest)) {
        await testFailure(t, host, bin, point)
        await testKill(t, host, bin, point)
      }
      await t.test('a file system without hard links will do', async t => {
        await host.sh(`rm -rf ${networks}`)
        const { code } = await straced(host, bin, '/dev/null', '-e', 'inject=linkat:error=EPERM')
        t.equal(code, 0)
        t.same(await leasesLeft(host), ['./net/10.1.2.2', './net/fd00::2'])
      })
    })
  }
}
