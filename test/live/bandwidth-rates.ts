/**
 * What the limits do to real traffic. By default a few of them for three seconds each, most at the same time; with
 * KUBENET_TEST_RATES=all every one up to 1 Gbit/s for five seconds, one after the other on a machine that has time.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { binDir, flavours, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'
import { bothWays, type Limits, ShapedPod } from '../plugins/bandwidth/fixtures/shaped-pod'

const all = process.env.KUBENET_TEST_RATES === 'all'
const seconds = all ? 5 : 3
const [flavour = 'standalone'] = flavours
const ours = binDir(flavour)

const Mbit = 1_000_000
const unsetBurst = 4_294_967_295

/** A burst that makes sense: what 100 ms give, and a dozen packets at least. */
const saneBurst = (rate: number) => Math.max(rate / 10, 160_000)

type Direction = 'ingress' | 'egress'
const directions: readonly Direction[] = ['ingress', 'egress']

/** Starts a program in a container that says a line when it is ready, and ends with its standard input. */
const serve = async (t: Test, pod: ShapedPod, ...argv: string[]): Promise<void> => {
  const [program = '', ...args] = [...pod.host.enter, 'ip', 'netns', 'exec', pod.containerID, ...argv]
  const server = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(async () => {
    server.stdin.end()
    if (server.exitCode === null) await once(server, 'exit')
  })
  await once(server.stdout, 'data')
}

/** An iperf3 server that ends with the test: iperf3 itself would not. */
const iperfServer = (t: Test, pod: ShapedPod): Promise<void> =>
  serve(t, pod, 'sh', '-c', 'iperf3 -s > /dev/null 2>&1 & echo ready; cat; kill $!')

/** Bits a second that arrived, of a TCP stream into the container or out of it. */
const measure = async (pod: ShapedPod, subnet: number, direction: Direction): Promise<number> => {
  const client = [
    'iperf3',
    '-c',
    `10.9.${subnet}.2`,
    '-t',
    String(seconds),
    '-J',
    '--connect-timeout',
    '3000',
  ]
  for (let attempt = 0; ; attempt++) {
    const { stdout } = await pod.host.exec([...client, ...(direction === 'egress' ? ['-R'] : [])])
    const report: Json = JSON.parse(stdout)
    if (report.end.sum_received || attempt === 5) return report.end.sum_received?.bits_per_second ?? 0
    // The server was not listening yet.
    await new Promise(resolve => setTimeout(resolve, 200))
  }
}

const add = async (t: Test, pod: ShapedPod, limits: Limits): Promise<void> => {
  const { code, stdout } = await pod.call(ours, 'ADD', pod.conf(limits))
  t.equal(code, 0, code === 0 ? 'ADD' : stdout)
}

const percent = (rate: number, measured: number) => Math.round((measured / rate) * 1000) / 10

/** Measures one direction of a container of its own. */
const holds = async (t: Test, host: PrivateHost, rate: number, burst: number, direction: Direction) => {
  const subnet = nextSubnet++
  const pod = await ShapedPod.create(host, `p${subnet}`, { subnet })
  await add(t, pod, bothWays(rate, burst))
  await iperfServer(t, pod)
  const reached = percent(rate, await measure(pod, subnet, direction))
  t.ok(Math.abs(reached - 100) <= 5, `${rate / Mbit} Mbit/s, burst ${burst}, ${direction}: ${reached} %`)
  await pod.call(ours, 'DEL', pod.conf({}))
  await host.sh(`ip link del ${pod.veth}`)
}

let nextSubnet = 0

const points = (rates: readonly number[], bursts: (rate: number) => readonly number[]) =>
  rates.flatMap(rate =>
    bursts(rate).flatMap(burst => directions.map(direction => ({ rate, burst, direction }))),
  )

t.test('long-run throughput is within 5 % of the rate', async t => {
  const host = await PrivateHost.create(t)
  if (all) {
    const bursts = (rate: number) => [saneBurst(rate), unsetBurst, 2_147_483_647]
    for (const { rate, burst, direction } of points(
      [1, 10, 100, 1000].map(n => n * Mbit),
      bursts,
    )) {
      await holds(t, host, rate, burst, direction)
    }
    return
  }
  const bursts = (rate: number) => [saneBurst(rate), unsetBurst]
  for (const rates of [[1, 10], [100]]) {
    const together = points(
      rates.map(n => n * Mbit),
      bursts,
    )
    await Promise.all(together.map(({ rate, burst, direction }) => holds(t, host, rate, burst, direction)))
  }
})

t.test('the queue of an unset burst is short: a packet waits 200 ms at most behind a stream', async t => {
  const host = await PrivateHost.create(t)
  const pod = await ShapedPod.create(host, 'c1')
  await add(t, pod, bothWays(10 * Mbit, unsetBurst))
  await iperfServer(t, pod)
  const stream = measure(pod, 0, 'ingress')
  const ping = await host.run('ping', '-c', '8', '-i', '0.2', '-q', '10.9.0.2')
  const longest = Number(/= [\d.]+\/[\d.]+\/([\d.]+)\//.exec(ping)?.[1])
  t.ok(longest < 200, `${longest} ms`)
  await stream
})

t.test('25000 bytes at 8000 bit/s take a second longer than without a limit, either way', async t => {
  const host = await PrivateHost.create(t)
  const echo = join(__dirname, '../plugins/bandwidth/fixtures/echo.cjs')
  const time = async (subnet: number, limits: Limits): Promise<{ ms: number; heard: number }> => {
    const pod = await ShapedPod.create(host, `p${subnet}`, { subnet })
    await add(t, pod, limits)
    await serve(t, pod, process.execPath, echo, 'server', '5000')
    // They would take half a minute.
    const client = ['client', `10.9.${subnet}.2`, '5000', '25000', '5']
    return JSON.parse(await host.run(process.execPath, echo, ...client))
  }
  const [free, ...limited] = await Promise.all([
    time(0, {}),
    time(1, { ingressRate: 8000, ingressBurst: 16_000 }),
    time(2, { egressRate: 8000, egressBurst: 16_000 }),
  ])
  t.equal(free.heard, 25_000)
  for (const { ms, heard } of limited) {
    t.ok(ms > free.ms + 1000 && heard > 0, `${heard} bytes in ${ms} ms; all in ${free.ms} ms without`)
  }
})
