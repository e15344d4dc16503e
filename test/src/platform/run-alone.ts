/** How the plugins of the Node.js flavour run other programs. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildSync } from 'esbuild'
import t from 'tap'
import { run } from '../../../src/platform/node/run-alone'
import { run as runBeside } from '../../../src/platform/run-program'

const env = { PATH: '/usr/bin:/bin' }
const shell = (script: string, ...args: string[]): [string, ...string[]] => ['/bin/sh', '-c', script, ...args]
const openFiles = () => readdirSync('/proc/self/fd').length

const mebibyte = 'straße\0🚀\n'.repeat(80_000)

t.test('the result of a program is the one of node:child_process', async t => {
  const scripts = new Map([
    ['its exit code', 'exit 7'],
    ['the signal that ended it', 'kill -KILL $$'],
    ['SIGPIPE is not ignored', 'kill -PIPE $$; sleep 0; exit 1'],
    ['SIGXFSZ is not ignored', 'kill -XFSZ $$; sleep 0; exit 1'],
    ['nor are SIGTERM and SIGUSR1 blocked', 'kill -USR1 $$; sleep 0; exit 1'],
    ['both outputs', 'echo out; echo err >&2'],
    ['an input that is empty', 'cat; echo end'],
    ['bytes that are no UTF-8', String.raw`printf 'a\200\303'`],
    ['its environment, of which nothing is inherited', 'env | sort'],
    ['its arguments', 'for word; do echo "[$word]"; done'],
    ['outputs that are closed before the end', 'exec >&- 2>&-; sleep 0.1; exit 3'],
  ])
  const before = openFiles()
  for (const [what, script] of scripts) {
    const argv = shell(script, 'sh', 'a b', '', 'ü')
    t.same(await run(argv, { env }), await runBeside(argv, { env }), what)
  }
  t.equal(openFiles(), before, 'no descriptor is left open')
  t.match(await run(shell('env'), { env: {} }), { stdout: /^PWD=.*\n$/ })
})

t.test('an input and outputs of more than a pipe can hold', async t => {
  t.same(await run(['/bin/cat'], { env, stdin: mebibyte }), { exitCode: 0, stdout: mebibyte, stderr: '' })
  t.same(await run(shell('cat >&2'), { env, stdin: mebibyte }), { exitCode: 0, stdout: '', stderr: mebibyte })
  t.same(
    await run(shell('exit 5'), { env, stdin: mebibyte }),
    { exitCode: 5, stdout: '', stderr: '' },
    'unread',
  )
  t.same(
    await run(shell('exec <&-; echo x; sleep 0.1'), { env, stdin: mebibyte }),
    { exitCode: 0, stdout: 'x\n', stderr: '' },
    'closed unread',
  )
  const ended = await run(
    shell('exec >&- 2>&-; test "$(wc -c)" = "$1"', 'sh', `${Buffer.byteLength(mebibyte)}`),
    {
      env,
      stdin: mebibyte,
    },
  )
  t.equal(ended.exitCode, 0, 'all of it is there for a program that has closed its outputs')
})

t.test('a program begins at once, and two do not wait for each other', async t => {
  const folder = t.testdir()
  const [began, fifo] = [join(folder, 'began'), join(folder, 'fifo')]
  await run(['/usr/bin/mkfifo', fifo], { env })
  // The first ends when it hears of the second's end, which prints more than its pipe holds.
  const first = run(shell('touch "$1"; cat "$2"', 'sh', began, fifo), { env })
  const until = Date.now() + 30_000
  while (!existsSync(began) && Date.now() < until);
  t.ok(existsSync(began), 'while the caller has not waited yet')
  const second = run(shell('cat; echo done > "$1"', 'sh', fifo), { env, stdin: mebibyte })
  t.same(await first, { exitCode: 0, stdout: 'done\n', stderr: '' })
  t.same(await second, { exitCode: 0, stdout: mebibyte, stderr: '' })
})

t.test('a program that cannot be started is an error with the code of the errno', async t => {
  const before = openFiles()
  const file = join(t.testdir({ file: '' }), 'file')
  const long = 'x'.repeat(200_000)
  for (const [argv, code] of [
    [['/nowhere/program'], 'ENOENT'],
    [[file], 'EACCES'],
    [['/bin/true', long], 'E2BIG'],
    [['/bin/true', ...Array.from({ length: 20_000 }, () => '')], 'E2BIG'],
    [['/bin/echo', 'a\0b'], 'ERR_INVALID_ARG_VALUE'],
    [['/bin/e\0cho'], 'ERR_INVALID_ARG_VALUE'],
  ] as const) {
    const [program, ...args] = argv
    await t.rejects(run([program, ...args], { env }), { code }, `${code}: ${program}`)
  }
  await t.rejects(run(['/bin/env'], { env: { A: 'a\0B=b' } }), { code: 'ERR_INVALID_ARG_VALUE' })
  await t.rejects(run(['/nowhere/program'], { env }), { message: 'spawn /nowhere/program ENOENT' })
  t.equal(openFiles(), before)
})

/** A script that runs `sh -c $SCRIPT` as plugins do, and prints what it leaves behind. */
const runner = (folder: string): string => {
  const [entry, script] = [join(folder, 'entry.ts'), join(folder, 'script.cjs')]
  const root = process.cwd()
  writeFileSync(
    entry,
    `import { run } from '${root}/src/platform/node/run-alone'
     process.once('SIGTERM', () => { told = true })
     let told = false
     run(['/bin/sh', '-c', process.env.SCRIPT], { env: {} }).then(ended => console.log(JSON.stringify({ ...ended, told })))`,
  )
  buildSync({
    entryPoints: [entry],
    outfile: script,
    bundle: true,
    platform: 'node',
    alias: { '#addon': join(root, 'dist-tools/node/calls.node') },
    external: ['*.node'],
    logLevel: 'warning',
  })
  return script
}

t.test('signals', async t => {
  const script = runner(t.testdir())
  const answerOf = async (shellScript: string, env: Record<string, string>) => {
    const child = spawn('sh', ['-c', shellScript, process.execPath, script], {
      env: { PATH: '/usr/bin:/bin', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    await once(child, 'close')
    return JSON.parse(text)
  }
  t.same(
    await answerOf(`trap '' CHLD; exec "$0" "$1"`, { SCRIPT: 'exit 7' }),
    { exitCode: 7, stdout: '', stderr: '', told: false },
    'a parent that ignores SIGCHLD',
  )
  t.same(
    await answerOf('exec "$0" "$1"', { SCRIPT: 'kill -TERM $PPID; sleep 0.2; echo end' }),
    { exitCode: 0, stdout: 'end\n', stderr: '', told: true },
    'one that comes while a program runs is noticed when that has ended',
  )
  t.same(
    await answerOf('exec "$0" "$1"', { SCRIPT: 'exec >&- 2>&-; kill -TERM $PPID; sleep 0.2' }),
    { exitCode: 0, stdout: '', stderr: '', told: true },
    'also where its outputs are closed',
  )
})
