/** The heap that is behind the standalone programs: a call goes on from it, or makes its own where it cannot. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { builtDir } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const root = join(__dirname, '../..')
const program = join(builtDir('standalone'), 'bridge')
const mark = 'a frozen heap: \0'

const version = /^\{"cniVersion":"1\.1\.0","supportedVersions":\[.*\]\}\n$/

const callsOf = (trace: string): string[] => trace.split('\n').filter(line => /\b(mmap|pread64)\(/.test(line))

t.test('VERSION', async t => {
  const host = await PrivateHost.create(t)
  const { offset, end } = (() => {
    const file = readFileSync(program)
    return { offset: Number(file.readBigUInt64LE(file.indexOf(mark) + mark.length)), end: file.length }
  })()
  t.ok(offset > 1_000_000 && offset < end, `the heap begins at ${offset} of ${end} bytes`)
  const folder = t.testdir()
  /** The program without the end of its heap, as after a copy that was cut short, and without all of it, as after strip(1). */
  for (const [name, length] of Object.entries({ cut: end - 1, stripped: offset }))
    writeFileSync(join(folder, name), readFileSync(program).subarray(0, length), { mode: 0o755 })

  const answers: readonly [how: string, script: string][] = [
    ['as it is built', `exec '${program}'`],
    ['with its heap cut off at the end', `exec -a bridge '${join(folder, 'cut')}'`],
    ['with no heap', `exec -a bridge '${join(folder, 'stripped')}'`],
    ['where there is no /proc', `umount -l /proc; exec '${program}'`],
    ['where there is no room for it', `ulimit -v 11000; exec '${program}'`],
  ]
  for (const [how, script] of answers) {
    const { code, stdout, stderr } = await host.exec(['bash', '-c', script], {
      env: { CNI_COMMAND: 'VERSION' },
    })
    t.equal(code, 0, `${how}: ${stderr}`)
    t.match(stdout, version, how)
  }

  const trace = (path: string) =>
    spawnSync('strace', ['-e', 'trace=mmap,pread64', path], {
      env: { CNI_COMMAND: 'VERSION' },
      encoding: 'utf8',
    })
  t.match(
    callsOf(trace(program).stderr).at(-1),
    /^pread64\(/,
    'nothing is made of memory after the heap was read',
  )
})

t.test('the command line is in the program, and not in the heap that plugins read', async t => {
  const file = readFileSync(program)
  const offset = Number(file.readBigUInt64LE(file.indexOf(mark) + mark.length))
  const [bytecode, heap] = [file.subarray(0, offset), file.subarray(offset)]
  for (const text of ["show the containers on the node's networks, and leftovers", 'kubenet_survey_unread'])
    t.same([bytecode.includes(text), heap.includes(text)], [true, false], text)
  const ofPlugins = 'no plugin of kubenet-cni is called'
  t.same([bytecode.includes(ofPlugins), heap.includes(ofPlugins)], [true, true])
})

t.test('a heap is taken once', async t => {
  const { status, stdout } = spawnSync(program, {
    argv0: 'freeze',
    env: { CNI_COMMAND: 'ADD' },
    encoding: 'utf8',
  })
  t.equal(status, 1)
  // The name tells nothing, so it is the plugin that its file is called.
  t.match(JSON.parse(stdout), { code: 4, msg: /^required env variables/ })
})

t.test('a module with system calls is not frozen', async t => {
  const asking = join(t.testdir(), 'program')
  const source = join(root, 'test/src/platform/fixtures/asks-at-once.ts')
  execFileSync(process.execPath, ['scripts/compilers/compile-one.mjs', source, asking], { cwd: root })
  t.equal(spawnSync(asking).status, 0, 'it runs')
  const { status, stdout, stderr } = spawnSync(asking, { argv0: 'freeze', encoding: 'utf8' })
  t.same([status, stdout], [1, ''])
  t.match(stderr, /a module that makes a system call when it is evaluated cannot be frozen/)
})

const hasVersions = process.arch === 'x64' && readFileSync('/proc/cpuinfo', 'utf8').includes(' sse4_1 ')

t.test(
  'what is another function on each processor is not frozen',
  hasVersions ? {} : { skip: 'needs a processor that glibc has versions for' },
  async t => {
    const program = join(t.testdir(), 'program')
    const source = join(root, 'test/src/platform/fixtures/rounds-at-once.ts')
    execFileSync(process.execPath, ['scripts/compilers/compile-one.mjs', source, program], { cwd: root })
    const { freezeHeap } = await import(join(root, 'scripts/compilers/frozen.mjs'))
    t.throws(() => freezeHeap(program, process.arch), /the heap is another one in each process/)
  },
)

t.test('random numbers are not frozen', async t => {
  const program = join(t.testdir(), 'program')
  const source = join(root, 'test/src/platform/fixtures/throws-dice.ts')
  execFileSync(process.execPath, ['scripts/compilers/compile-one.mjs', source, program], { cwd: root })
  const { freezeHeap } = await import(join(root, 'scripts/compilers/frozen.mjs'))
  freezeHeap(program, process.arch)
  const [one, other] = [1, 2].map(() => execFileSync(program, { encoding: 'utf8' }))
  t.match(one, /^0\.\d+/)
  t.match(other, /^0\.\d+/)
  t.not(one, other)
})
