/** The long forms of the tests, part by part, and a table of what was seen: scripts/soak calls this and says how. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')

/** The test of this name, or all tests of the folder of this name. */
const live = name => {
  const path = `test/live/${name}`
  return existsSync(join(root, path))
    ? readdirSync(join(root, path)).map(file => `${path}/${file}`)
    : [`${path}.ts`]
}

/** The promise, the programs that can break it, and the options by which they try only that. */
const parts = {
  kills: {
    promise: 'killed before any system call that changes something: DEL or GC cleans up, the next ADD works',
    files: live('faults'),
    env: { KUBENET_FAULTS: 'kills' },
  },
  errors: {
    promise: 'any system call failing, or SIGTERM there: an error object and nothing left, or success',
    files: live('faults'),
    env: { KUBENET_FAULTS: 'errors' },
  },
  churn: {
    promise: 'containers that come and go, 16 at once, Go plugins among them, leave nothing',
    files: live('churn'),
  },
  interleavings: {
    promise: 'no live pod loses anything, and nothing is left of others, whichever calls run at once',
    files: live('interleavings'),
  },
  leases: {
    promise:
      'a /29 is enough without a single DEL, and after a reboot; no address of a living pod is given out',
    files: live('self-healing'),
  },
  locks: {
    promise: 'a stopped holder of any lock is waited for 5 s, then named with code 11; nothing has changed',
    files: live('locks'),
  },
  build: {
    promise: 'built twice, both flavours have the same bytes',
    files: ['test/build.ts'],
  },
  fuzz: {
    promise: 'any input gets a valid answer, and DEL undoes ADD',
    files: live('fuzz'),
  },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: '1' },
    list: { type: 'boolean' },
    minutes: { type: 'string' },
    only: { type: 'string', default: '' },
  },
})

/** What a file that was given no end may take. */
const longestHours = 24

/** A file that was told to end has so long to finish what it is at. */
const graceSeconds = 300

const say = text => process.stdout.write(`${text}\n`)

const run = (name, report) =>
  new Promise(done => {
    const { files, env } = parts[name]
    const seconds = values.minutes ? Number(values.minutes) * 60 : longestHours * 3600
    const child = spawn(
      process.execPath,
      ['scripts/run-tests.mjs', '--jobs', values.jobs, '--timeout', String(seconds + graceSeconds), ...files],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {
          ...process.env,
          ...env,
          KUBENET_SOAK: '1',
          KUBENET_SOAK_ONLY: values.only,
          KUBENET_SOAK_REPORT: report,
          KUBENET_SOAK_UNTIL: String(Date.now() + seconds * 1000),
        },
      },
    )
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      process.stdout.write(text)
      printed += text
    })
    child.on('close', code => done({ code, count: printed.trim().split('\n').at(-1) }))
  })

const wordsOf = report => {
  try {
    return readFileSync(report, 'utf8').trim().split('\n').join('; ')
  } catch {
    return ''
  }
}

const row = cells => say(`| ${cells.join(' | ')} |`)

const main = async () => {
  if (values.list) {
    for (const [name, { promise, files }] of Object.entries(parts))
      say(`${name}: ${promise} (${files.join(', ')})`)
    return 0
  }
  const names = positionals.length > 0 ? positionals : Object.keys(parts)
  const unknown = names.filter(name => !Object.hasOwn(parts, name))
  if (unknown.length > 0) {
    process.stderr.write(`scripts/soak: no part is called ${unknown.join(', ')}: scripts/soak --list\n`)
    return 2
  }
  const folder = mkdtempSync(join(tmpdir(), 'kubenet-soak-'))
  const rows = []
  for (const name of names) {
    const started = Date.now()
    const report = join(folder, name)
    const { code, count } = await run(name, report)
    const minutes = ((Date.now() - started) / 60_000).toFixed(1)
    rows.push({
      name,
      code,
      cells: [
        parts[name].promise,
        name,
        code === 0 ? 'held' : 'BROKEN',
        count,
        `${minutes} min`,
        wordsOf(report),
      ],
    })
  }
  rmSync(folder, { recursive: true })
  say('')
  row(['promise', 'part', 'result', 'assertions', 'time', 'seen'])
  row(Array(6).fill('---'))
  for (const { cells } of rows) row(cells)
  return rows.every(({ code }) => code === 0) ? 0 : 1
}

process.exitCode = await main()
