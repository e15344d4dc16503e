/** A node with a thousand attachments: looking at it takes no more for each of them than with a quarter of it. */
import { readFileSync, utimesSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { binDir, type Json } from '../../fixtures/cni'
import { confDir, runKubenet } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

const flavour = 'standalone'

const commands = {
  inspect: ['inspect', '--json'],
  doctor: ['doctor', '--json'],
  gc: ['gc', 'kubenet', '--json'],
  sync: ['sync', '--dry-run', '--json'],
}

/** As many times longer it may take for four times as many; what grows with the square takes sixteen times. */
const most = 8

const addressOf = (index: number): string => `10.244.${(index + 2) >> 8}.${(index + 2) & 255}`

/** When the attachments were made. Of what is younger than two seconds the doctor does not say what it lacks. */
const anHourAgo = Date.now() / 1000 - 3600

const filesOf = (host: PrivateHost, index: number) => ({
  lease: host.path(`/var/lib/cni/networks/kubenet/${addressOf(index)}`),
  result: host.path(`/var/lib/cni/results/kubenet-c${index}-eth0`),
})

/** Makes the lease and the cached result as old as if the ADD had been at `time`, in seconds since the epoch. */
const setTime = (host: PrivateHost, index: number, time: number): void => {
  for (const file of Object.values(filesOf(host, index))) utimesSync(file, time, time)
}

/** One real attachment, and the records and elements of others that have the same namespace, made an hour ago. */
const crowd = async (host: PrivateHost): Promise<(from: number, to: number) => Promise<void>> => {
  const configure = ['--pod-cidr', '10.244.0.0/21', '--cni-version', '1.1.0', '--cni-conf-dir', confDir]
  await runKubenet(host, flavour, ['config', '--write', ...configure])
  const netns = await host.netns('c0')
  const added = await runKubenet(host, flavour, ['add', 'kubenet', netns, '--container-id', 'c0'])
  if (added.code !== 0) throw new Error(added.stderr)
  const cached = readFileSync(filesOf(host, 0).result, 'utf8')
  // Not its lease: the record beside it holds for a lease of that time only.
  utimesSync(filesOf(host, 0).result, anHourAgo, anHourAgo)
  return async (from, to) => {
    const elements: string[] = []
    for (let index = from; index < to; index++) {
      const [id, address] = [`c${index}`, addressOf(index)]
      const { lease, result } = filesOf(host, index)
      writeFileSync(lease, `${id}\r\neth0`)
      const own = cached
        .replace('"containerId":"c0"', `"containerId":"${id}"`)
        .replaceAll('10.244.0.2/', `${address}/`)
      writeFileSync(result, own)
      setTime(host, index, anHourAgo)
      elements.push(
        `add element inet kubenet pods4-kubenet { ${address} comment "kubenet ${id} eth0" }`,
        `add element inet kubenet hostports4 { tcp . ${10_000 + index} comment "kubenet ${id} eth0" : ${address} . 80 }`,
      )
    }
    const { code, stderr } = await host.exec(['nft', '-f', '-'], { stdin: `${elements.join('\n')}\n` })
    if (code !== 0) throw new Error(stderr)
  }
}

t.test('a thousand attachments', async t => {
  const host = await PrivateHost.create(t)
  const addUpTo = await crowd(host)
  const look = async (name: keyof typeof commands): Promise<{ seconds: number; answer: Json }> => {
    const { stderr } = await host.exec(
      [
        'bash',
        '--norc',
        '-c',
        'TIMEFORMAT="%U %S"; time "$0" "$@" > /run/answer',
        `${binDir(flavour)}/kubenet`,
        ...commands[name],
      ],
      { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_PATH: binDir(flavour), NETCONFPATH: confDir } },
    )
    // Processor time, which other work on the machine does not add to.
    const [user = 0, system = 0] = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number)
    return { seconds: user + system, answer: JSON.parse(readFileSync(host.path('/run/answer'), 'utf8')) }
  }
  const few = new Map<string, number>()
  await addUpTo(1, 250)
  for (const name of ['inspect', 'doctor', 'gc', 'sync'] as const) few.set(name, (await look(name)).seconds)
  await addUpTo(250, 1000)
  for (const name of ['inspect', 'doctor', 'gc', 'sync'] as const) {
    const { seconds, answer } = await look(name)
    const before = few.get(name) ?? 0
    const ids = new Set(JSON.stringify(answer).match(/\bc\d+\b/g))
    t.ok(ids.has('c1') && ids.has('c999') && ids.size >= 999, `${name} speaks of all of them: ${ids.size}`)
    t.ok(seconds < most * before, `${name}: ${before} s with 250, ${seconds} s with 1000`)
    t.comment(`${name}: ${before} s with 250, ${seconds} s with 1000`)
  }

  await t.test('the doctor says of how many the ADD may not be over, and not what those lack', async t => {
    const fresh = [5, 6]
    for (const index of fresh) setTime(host, index, Date.now() / 1000 + 60) // younger than the slowest look
    const { lines } = (await look('doctor')).answer
    const [survey] = lines.filter(({ check }: Json) => check === 'survey')
    t.match(survey.says, /^1000 container interfaces .*; skipped 2 containers younger than 2 s$/)
    const ids = new Set(JSON.stringify(lines).match(/\bc\d+\b/g))
    t.same([ids.has('c4'), ids.has('c5'), ids.has('c6')], [true, false, false])
  })
})
