/**
 * Runs the tests, several files at a time, and prints a line for each, what failed in it, and the count.
 *
 *   node scripts/run-tests.mjs [--jobs N] [--timeout SECONDS] [FILE or FOLDER ...]
 *
 * Each file is a program that prints TAP, and `npx tap FILE` runs it too. But tap's command starts a TypeScript
 * compiler in every test's process, a second of processor time for each; here esbuild compiles all of them at once.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { inspect, parseArgs } from 'node:util'
import { Parser } from 'tap-parser'
import { compile } from './compile-tests.mjs'

const root = join(import.meta.dirname, '..')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string' }, timeout: { type: 'string', default: '600' } },
})

/** A file that has not ended by then is killed, with all that it started: several times what the slowest takes. */
const fileTimeoutMs = Number(values.timeout) * 1000

/** The tests spend half of their time waiting, for the kernel or for a deadline to pass. */
const jobs = Number(values.jobs ?? availableParallelism() * 2)

const isTest = file => file.endsWith('.ts') && !/(^|\/)fixtures\//.test(file)

const testsIn = path =>
  (statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true }).map(file => join(path, file))
    : [path]
  )
    .map(file => relative(root, resolve(file)))
    .filter(isTest)

/** The slowest first, so that none of them is alone at the end: those on real kernels before those of values. */
const order = file => (/^test\/(clients|kernels)\//.test(file) ? 0 : file.startsWith('test/live/') ? 1 : 2)

const say = text => process.stdout.write(`${text}\n`)

const count = { passed: 0, failed: 0, skipped: 0 }

const indent = text => text.replaceAll(/^(?=.)/gm, '    ')

/** What tap says of a failure, without what only its own reporters have a use for. */
const explain = diag => {
  // A point that failed may come without a word.
  const { at, source: _, compare: __, generated: ___, diff, stack, ...others } = diag ?? {}
  return [
    at && `${at.fileName}:${at.lineNumber}`,
    diff ?? stack,
    // Not as JSON: what a parser says of a plan that is not kept refers to itself.
    ...Object.entries(others).map(([key, value]) => `${key}: ${inspect(value, { breakLength: Infinity })}`),
  ]
    .filter(Boolean)
    .join('\n')
}

/** The processes of a group, and what in the kernel each waits for: where a test that does not end has come to. */
const processesOf = group => {
  const columns = ['pid', 'ppid', 'stat', 'wchan:20', 'etimes', 'args'].flatMap(column => ['-o', column])
  const { stdout, error } = spawnSync('ps', ['-e', '-o', 'pgid', ...columns], { encoding: 'utf8' })
  return error
    ? `${error}`
    : stdout
        .split('\n')
        .filter(line => Number.parseInt(line, 10) === group)
        .join('\n')
}

const killGroup = group => {
  try {
    process.kill(-group, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

const runFile = ({ file, program }) =>
  new Promise(done => {
    const started = Date.now()
    const child = spawn(process.execPath, ['--enable-source-maps', program], {
      cwd: root,
      // Without the second, tap gives a file 30 s.
      env: { ...process.env, TAP: '1', TAP_TIMEOUT: String(fileTimeoutMs / 1000) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const lines = []
    const parser = new Parser()
    parser.on('pass', () => {
      count.passed++
    })
    parser.on('skip', result => {
      count.skipped++
      lines.push(`skipped: ${result.fullname}${typeof result.skip === 'string' ? `: ${result.skip}` : ''}`)
    })
    parser.on('fail', result => {
      count.failed++
      lines.push(`not ok: ${result.fullname}`, indent(explain(result.diag)))
    })
    const errors = []
    child.stdout.pipe(parser)
    child.stderr.on('data', chunk => errors.push(chunk))
    const kill = setTimeout(() => {
      count.failed++
      lines.push(`not ok: still running after ${fileTimeoutMs / 1000} s:`, indent(processesOf(child.pid)))
      killGroup(child.pid)
    }, fileTimeoutMs)
    // What a test has left running would keep these pipes open, and the machine busy.
    child.on('exit', () => killGroup(child.pid))
    child.on('close', (code, signal) => {
      clearTimeout(kill)
      const ok = code === 0 && parser.ok
      // A file may fail as a whole, by an exception or a missing plan, without a failed assertion.
      if (!ok && !lines.some(line => line.startsWith('not ok'))) {
        count.failed++
        lines.push(`not ok: exit code ${code ?? signal}`, ...parser.failures.map(({ name }) => name))
      }
      const seconds = ((Date.now() - started) / 1000).toFixed(1)
      say(`${ok ? 'ok    ' : 'NOT OK'} ${file} (${seconds} s)`)
      if (!ok && errors.length > 0) lines.push(Buffer.concat(errors).toString())
      if (lines.length > 0) say(indent(lines.join('\n')))
      done()
    })
  })

const files = (positionals.length > 0 ? positionals : [join(root, 'test')]).flatMap(testsIn)
const waiting = (await compile(files.toSorted((a, b) => order(a) - order(b) || a.localeCompare(b)))).values()
const work = async () => {
  for (const test of waiting) await runFile(test)
}
await Promise.all(Array.from({ length: jobs }, work))

say(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
process.exitCode = count.failed > 0 || count.passed === 0 ? 1 : 0
