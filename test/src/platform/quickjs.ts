/** What code for Node.js finds in a program of QuickJS is what it finds in Node.js, to the words of the errors. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { constants, gzipSync } from 'node:zlib'
import { build, buildSync } from 'esbuild'
import t, { type Test } from 'tap'

const root = join(__dirname, '../../..')
const pluginSource = join(__dirname, 'fixtures/node-api.ts')
const commandSource = join(__dirname, 'fixtures/command-api.ts')
const endings = join(__dirname, 'fixtures/endings.ts')

/** Archives of gzip: of a text that repeats, of bytes that do not, of a stored block, of a fixed code, and of nothing. */
const packed = [
  gzipSync('CONFIG_NET_CLS_U32=m\n# CONFIG_X is not set\n'.repeat(3000), { level: 9 }),
  gzipSync(Array.from({ length: 5000 }, (_, i) => (i * i * 7919) % 9973).join(' ')),
  gzipSync('stored', { level: 0 }),
  gzipSync('fixed', { strategy: constants.Z_FIXED }),
  gzipSync(''),
]
  .map(bytes => bytes.toString('base64'))
  .join(' ')

const linesOf = async (folder: string, name: string, argv: readonly [string, ...string[]]) => {
  const where = join(folder, name)
  mkdirSync(where)
  symlinkSync('text', join(where, 'link'))
  const [program, ...args] = argv
  const child = spawn(program, args, {
    env: { WHERE: where, constructor: 'set', PACKED: packed },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += chunk
    if (chunk.includes('ready: ')) child.kill()
  }
  if (child.exitCode === null) await once(child, 'exit')
  return { lines: text.trimEnd().split('\n'), status: child.exitCode }
}

const compile = (t: Test, from: string, program: string): void => {
  const argv = ['scripts/compilers/compile-one.mjs', from, program]
  const compiled = spawnSync(process.execPath, argv, { cwd: root, encoding: 'utf8' })
  t.equal(compiled.status, 0, compiled.stderr)
}

for (const [what, source] of [
  ['what plugins use', pluginSource],
  ['what the command line uses', commandSource],
] as const)
  t.test(`${what} is the same on Node.js and on QuickJS`, async t => {
    const folder = t.testdir({})
    const [script, program] = [join(folder, 'script.cjs'), join(folder, 'program')]
    buildSync({ entryPoints: [source], outfile: script, bundle: true, platform: 'node', format: 'cjs' })
    compile(t, source, program)
    const onNode = await linesOf(folder, 'node', [process.execPath, script])
    const onQuickJs = await linesOf(folder, 'quickjs', [program])
    t.match(onNode, { status: 3 })
    t.match(onQuickJs, { status: 3 })
    t.ok(onNode.lines.length > 40, `${onNode.lines.length} lines`)
    for (const [index, line] of onNode.lines.entries()) t.equal(onQuickJs.lines[index], line)
    t.equal(onQuickJs.lines.length, onNode.lines.length)
  })

/** What all typed arrays have too, though some of it with another meaning. */
const inherited = [
  'toString',
  'indexOf',
  'includes',
  'lastIndexOf',
  'slice',
  'subarray',
  'fill',
  'toLocaleString',
]
/** Other classes' as well: those of the plugins have no other meaning in mind. */
const common = ['toJSON']
const methods = new Set(
  Object.getOwnPropertyNames(Buffer.prototype).filter(name => ![...inherited, ...common].includes(name)),
)

/** How the definitions of what a text calls of a Buffer, or of what may be one, begin in buffer.ts. */
const definitionsFor = (text: string): string[] => [
  ...[...text.matchAll(/\.(\w+)\(/g)].flatMap(([, name = '']) => (methods.has(name) ? [`\n  ${name}(`] : [])),
  ...[...text.matchAll(/\bBuffer\.(\w+)\(/g)].map(([, name]) => `\n  ${name}`),
]

t.test('QuickJS has all of Buffer that plugins and command line use', async t => {
  const { bundleOptions } = await import(join(root, 'scripts/compilers/quickjs.mjs'))
  const { metafile } = await build({
    ...bundleOptions(process.arch),
    absWorkingDir: root,
    entryPoints: ['plugins/main.ts'],
    outdir: t.testdir({}),
    bundle: true,
    metafile: true as const,
    write: false,
  })
  const lean = readFileSync(join(root, 'src/platform/quickjs/buffer.ts'), 'utf8')
  const files = Object.keys(metafile?.inputs ?? {}).filter(
    // commander's own output, which takes bytes too, is silent here.
    file => existsSync(join(root, file)) && !file.includes('/commander/'),
  )
  const used = files.flatMap(file =>
    definitionsFor(readFileSync(join(root, file), 'utf8')).map(definition => ({ definition, file })),
  )
  t.ok(used.length > 50, `${used.length} calls`)
  for (const { definition, file } of used) t.ok(lean.includes(definition), `${definition.trim()} in ${file}`)
})

const ends: readonly { what: string; shell?: string; status: number; output: RegExp }[] = [
  { what: 'a rejection without a handler', status: 1, output: /^Error: first\n$/ },
  { what: 'a rejection that is taken up later', status: 0, output: /^$/ },
  { what: 'something else than an error', status: 1, output: /^a text\n$/ },
  { what: 'recursion', status: 1, output: /^InternalError: stack overflow\n$/ },
  { what: 'recursion', shell: 'ulimit -s 256', status: 1, output: /^InternalError: stack overflow\n$/ },
  { what: 'deep JSON', shell: 'ulimit -s 256', status: 1, output: /stack overflow in line 1/ },
  {
    what: 'long JSON',
    shell: 'ulimit -v 12000',
    status: 1,
    output: /^(InternalError: out of memory|an error without words)\n$/,
  },
  { what: 'a child', status: 0, output: /^7 in out\n$/ },
  { what: 'a child', shell: "trap '' CHLD", status: 0, output: /^7 in out\n$/ },
  { what: 'a NUL for a child', status: 1, output: /^RangeError: a NUL in a text for the kernel\n$/ },
  { what: 'mkdir -p in /proc', status: 1, output: /^Error: ENOENT: .*, mkdir '\/proc\/x'\n$/ },
]

t.test('how a program of QuickJS ends', async t => {
  const program = join(t.testdir({}), 'program')
  compile(t, endings, program)
  for (const { what, shell = ':', status, output } of ends) {
    const script = `${shell}; exec "$0" 2>&1`
    const ended = spawnSync('sh', ['-c', script, program], { env: { WHAT: what }, encoding: 'utf8' })
    t.equal(ended.status, status, `${what}, ${shell}`)
    t.match(ended.stdout, output, `${what}, ${shell}`)
  }
})

t.test('the memory it gives its engine', async t => {
  const program = join(t.testdir({}), 'program')
  const source = (await import(join(root, 'scripts/compilers/quickjs.mjs'))).sourceFolder()
  const ours = join(root, 'src/platform/quickjs')
  const files = [join(__dirname, 'fixtures/heap.c'), join(ours, 'heap.c')]
  execFileSync('cc', ['-O2', '-Wall', '-Werror', `-I${ours}`, `-I${source}`, ...files, '-o', program])
  t.strictSame(execFileSync(program, { encoding: 'utf8' }).trimEnd().split('\n'), [
    '0 pieces with 0 bytes left',
    '0 KB more for one piece at a time',
    'refused with none left',
    'no more at the limit',
    'no more than there can be',
  ])
})
