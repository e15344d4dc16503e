/**
 * Fuzzed calls: never a stack trace, never a wrong exit code, always an object with a right code; what an ADD that
 * works did its DEL undoes. 2,000 cases; KUBENET_SOAK=1 makes them 100,000. The seed is printed, and a failure names
 * it with the path to the case; KUBENET_SEED repeats it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bundled } from '../fixtures/bundled'
import { binDir } from '../fixtures/cni'
import { endsAt, extent, isTimeUp, tellSoak } from '../fixtures/extent'
import { PrivateHost } from '../fixtures/private-host'

// The short form tries the same every time, the long one something new.
const seed = Number(process.env.KUBENET_SEED ?? extent(225_123_143, Date.now() % 2 ** 31))

/**
 * Each property's share of the cases, in percent: those that only ask and refuse are cheap, a pod's whole life or a
 * program to start cost a hundred times as much.
 */
const shares = {
  calls: 46,
  codes: 25,
  prevResults: 10,
  args: 5,
  leases: 5,
  replies: 8,
  lives: 0.5,
  executables: 0.5,
}

/** So many are tried side by side: half of the time of a call the kernel takes for links that go. */
const workers = 2

const setup = `
  mkdir -p /run/fuzz/bin /run/fuzz/a/b/c; touch /run/netns/file
  ip netns add p1
  ip link add veth1 type veth peer name eth0 netns p1; ip link set veth1 up; ip -n p1 link set eth0 up
`

t.test(`fuzzed calls, seed ${seed}`, async t => {
  const driver = join(t.testdir(), 'driver.js')
  writeFileSync(driver, await bundled('fixtures/fuzz/driver.ts'))
  const fuzz = async (name: string, share: number): Promise<void> => {
    const host = await PrivateHost.create(t)
    await host.sh(`${setup}\nln -s ${driver} /run/fuzz/bin/host-local`)
    const runs = (extent(2000, 100_000) * share) / 100
    const script = 'cd /run/fuzz/a/b/c; exec "$@"'
    const argv = ['sh', '-c', script, 'sh', process.execPath, driver, name, String(runs), String(seed)]
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      KUBENET_FUZZ_MS: String(Math.min(endsAt - Date.now(), 2 ** 31 - 1)),
      KUBENET_FUZZ_BIN: `${binDir('standalone')}:${binDir('node')}`,
    }
    const { code, stdout, stderr } = await host.exec(argv, { env, timeoutMs: extent(300_000, 10_000_000) })
    const said = `${name}: ${stdout}${stderr.slice(0, 4000)}`
    t.equal(code, 0, said)
    t.match(stdout, isTimeUp() ? /^\d+ runs\n$/ : `${runs} runs\n`, said)
    tellSoak(`${name}: ${stdout.trim()} of ${runs}`)
  }
  // The longest first.
  const left = Object.entries(shares).reverse()
  const work = async () => {
    for (let next = left.shift(); next; next = left.shift()) await fuzz(...next)
  }
  await Promise.all(Array.from({ length: workers }, work))
})
