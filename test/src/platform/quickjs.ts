/** What code for Node.js finds in a program of QuickJS is what it finds in Node.js, to the words of the errors. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { buildSync } from 'esbuild'
import t from 'tap'

const root = join(__dirname, '../../..')
const source = join(__dirname, 'fixtures/node-api.ts')

const linesOf = async (folder: string, name: string, argv: readonly [string, ...string[]]) => {
  const where = join(folder, name)
  mkdirSync(where)
  symlinkSync('text', join(where, 'link'))
  const [program, ...args] = argv
  const child = spawn(program, args, { env: { WHERE: where }, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += chunk
    if (chunk.includes('ready: ')) child.kill()
  }
  if (child.exitCode === null) await once(child, 'exit')
  return { lines: text.trimEnd().split('\n'), status: child.exitCode }
}

t.test('the same program on Node.js and on QuickJS', async t => {
  const folder = t.testdir({})
  const [script, program] = [join(folder, 'script.cjs'), join(folder, 'program')]
  buildSync({ entryPoints: [source], outfile: script, bundle: true, platform: 'node', format: 'cjs' })
  const compiled = spawnSync(process.execPath, ['scripts/compilers/compile-one.mjs', source, program], {
    cwd: root,
    encoding: 'utf8',
  })
  t.equal(compiled.status, 0, compiled.stderr)
  const onNode = await linesOf(folder, 'node', [process.execPath, script])
  const onQuickJs = await linesOf(folder, 'quickjs', [program])
  t.match(onNode, { status: 3 })
  t.match(onQuickJs, { status: 3 })
  t.ok(onNode.lines.length > 40, `${onNode.lines.length} lines`)
  for (const [index, line] of onNode.lines.entries()) t.equal(onQuickJs.lines[index], line)
  t.equal(onQuickJs.lines.length, onNode.lines.length)
})
