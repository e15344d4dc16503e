import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { formatVersions, kindOf, limitedExec, mapSome, probe } from '../../cli/plugins'

const script = (t: Test, text: string) => {
  const folder = t.testdir({ plugin: text })
  return `${folder}/plugin`
}

t.test('the output of a plugin without a command shows its origin', async t => {
  const path = script(t, '#!/bin/sh\n')
  const about = 'protocol versions supported: 0.1.0\n'
  const cases: [string, string, string, string][] = [
    ['bridge', `CNI bridge plugin 0.1.0 (kubenet-cni)\nCNI ${about}`, 'node', '0.1.0'],
    ['bridge', `CNI bridge plugin v1.6.2\nCNI ${about}`, 'reference', 'v1.6.2'],
    ['bridge', `CNI bridge plugin version unknown\nCNI ${about}`, 'reference', 'version unknown'],
    ['flannel', `CNI flannel plugin v1.2.0\nCNI ${about}`, 'other', 'v1.2.0'],
    ['bridge', 'something else\n', 'other', ''],
    ['bridge', '', 'other', ''],
  ]
  for (const [name, text, kind, version] of cases) {
    t.same(kindOf({ name, path }, text), { kind, version }, JSON.stringify(text))
  }
})

t.test('versions without a gap are printed as a range', async t => {
  t.equal(formatVersions(['0.3.0', '0.3.1', '0.4.0', '1.0.0']), '0.3.0-1.0.0')
  t.equal(formatVersions(['1.0.0', '0.3.1', '0.4.0', '0.3.0']), '0.3.0-1.0.0')
  t.equal(formatVersions(['0.1.0', '1.0.0']), '0.1.0 1.0.0')
  t.equal(formatVersions(['1.0.0']), '1.0.0')
  t.equal(formatVersions(['1.0.0', '2.0.0']), '1.0.0 2.0.0')
  t.equal(formatVersions([]), '')
})

t.test('mapSome() answers in the order of the entries, few at a time', async t => {
  let running = 0
  let most = 0
  const answers = await mapSome([1, 2, 3, 4, 5, 6, 7, 8, 9], async n => {
    most = Math.max(most, ++running)
    await setTimeout(10 - n)
    running--
    return n * 2
  })
  t.same(answers, [2, 4, 6, 8, 10, 12, 14, 16, 18])
  t.equal(most, 4)
})

/** Does it run, and is it no zombie? */
const isRunning = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))

const options = { binDirs: [], cacheDir: '/none', env: process.env }

const probeScript = (t: Test, text: string, limitMs = 30_000) => {
  const path = script(t, text)
  chmodSync(path, 0o755)
  return probe({ name: 'plugin', path }, { options, exec: limitedExec(limitMs) })
}

t.test('a plugin is asked with VERSION and then called without a command', async t => {
  const text = `#!/bin/sh
[ "$CNI_COMMAND" = VERSION ] && echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}' && exit
[ -z "\${CNI_PATH+set}" ] && echo "CNI plugin plugin v9" >&2
`
  t.match(await probeScript(t, text), { kind: 'other', version: 'v9', cniVersions: ['1.0.0'], failure: '' })
})

t.test(
  'a program without an answer is no plugin, and one that hangs is killed with all its children',
  async t => {
    t.match(await probeScript(t, '#!/bin/sh\necho hello\n'), { kind: 'none', failure: '"hello\\n"' })
    t.match(await probeScript(t, '#!/bin/sh\nexit 3\n'), { kind: 'none', failure: /exit status 3/ })
    const started = Date.now()
    const hung = await probeScript(t, '#!/bin/sh\nsleep 600 & echo $! > "$0.pid"\nwait\n', 2000)
    t.match(hung, { kind: 'none', failure: /has not ended after 2 s/ })
    t.ok(Date.now() - started < 30_000)
    const pid = Number(readFileSync(`${hung.path}.pid`, 'utf8'))
    // The signal is sent; the kernel ends the process a moment later.
    for (let tries = 0; isRunning(pid) && tries < 100; tries++) await setTimeout(50)
    t.notOk(isRunning(pid))
  },
)
