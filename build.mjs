/**
 * Builds dist/:
 *   node/<name>        scripts, for hosts that have Node.js
 *   standalone/<name>  the same code with its runtime, QuickJS, for hosts that have nothing
 *   …/kubenet-cli      the command line of either: a script that no call of a plugin reads, or, as it wants a runtime that
 *                      knows HTTP, a program compiled by Bun
 *   schema/<name>.json JSON Schemas of the configurations
 *   sbom.cdx.json      what the programs consist of; licenses.md, under which licences
 * All plugins of a flavour are hard links to one file. The same input gives the same bytes.
 *
 *   node build.mjs [--arch x64|arm64] [--libc glibc|musl] [--flavour node|standalone] [--out dist]
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { writeBill } from './scripts/bill-of-materials.mjs'
import { deafen } from './scripts/compilers/deafen.mjs'
import { freezeHeap } from './scripts/compilers/frozen.mjs'
import * as node from './scripts/compilers/node.mjs'
import { bundleOptions, engineParts, makeProgram } from './scripts/compilers/quickjs.mjs'

const require = createRequire(import.meta.url)
const root = import.meta.dirname
const pkg = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    flavour: { type: 'string' },
    libc: { type: 'string', default: 'glibc' },
    out: { type: 'string', default: 'dist' },
  },
})

/** The programs' names; plugins/main.ts goes by the one it is started under. */
const programs = ['bandwidth', 'bridge', 'host-local', 'kubenet', 'loopback', 'portmap']

/** Bun's packages, by the machine and the C library they run on and build for. "baseline" runs on every x86-64. */
const bunPackages = {
  'x64-glibc': '@oven/bun-linux-x64-baseline',
  'x64-musl': '@oven/bun-linux-x64-musl-baseline',
  'arm64-glibc': '@oven/bun-linux-aarch64',
  'arm64-musl': '@oven/bun-linux-aarch64-musl',
}

const commit = () => {
  try {
    const hash = execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {
      cwd: root,
      encoding: 'utf8',
    }).trim()
    const changed = execFileSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' }) !== ''
    return changed ? `${hash}-dirty` : hash
  } catch {
    return 'unknown' // a source tarball has no history
  }
}

/** The files that went into the programs. */
const bundled = new Set()

const bundle = async options => {
  const answer = await build({ ...options, metafile: true })
  for (const file of Object.keys(answer.metafile.inputs)) bundled.add(file)
  return answer
}

/**
 * Puts a module and all it imports into the bundle as a compressed text that is only unpacked when it is imported: as
 * code it would be read, and its share of it paid for, at every start of a plugin. It uses the bundle's own platform.
 */
const pack = (name, { filter, entry, conditions = [], plugins = [] }) => ({
  name: `pack-${name}`,
  setup({ onResolve, onLoad }) {
    onResolve({ filter }, () => ({ path: join(root, entry), namespace: name }))
    onLoad({ filter: /./, namespace: name }, async () => {
      const { outputFiles } = await bundle({
        ...common,
        entryPoints: [join(root, entry)],
        conditions,
        external: ['#platform'],
        write: false,
        plugins,
      })
      const packed = gzipSync(outputFiles[0].text, { level: 9 }).toString('base64')
      return { contents: unpack(packed), resolveDir: root, loader: 'js' }
    })
  },
})

/** The module that stands for a packed one. */
const unpack = packed => `
const load = name => name === '#platform' ? require('#platform') : require(name)
const text = require('node:zlib').gunzipSync(Buffer.from('${packed}', 'base64')).toString()
new Function('module', 'exports', 'require', text)(module, exports, load)
`

/** node-fetch brings Unicode's tables for a URL of its own and then takes the runtime's: so does all the rest. */
const runtimeUrl = {
  name: 'runtime-url',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^whatwg-url$/ }, () => ({ path: 'whatwg-url', namespace: 'runtime-url' }))
    onLoad({ filter: /./, namespace: 'runtime-url' }, () => ({
      contents: 'module.exports = { URL, URLSearchParams }',
    }))
  },
}

/** What only the agent needs: packed once more inside of the command line, whose other subcommands never unpack it. */
const packLibraries = pack('agent-libraries', {
  filter: /^\.{1,2}\/libraries$/,
  entry: 'agent/libraries.ts',
  plugins: [runtimeUrl],
})

const packCommandLine = conditions =>
  pack('command-line', {
    filter: /\/cli\/process\.js$/,
    entry: 'cli/process.ts',
    conditions,
    plugins: [packLibraries],
  })

const common = {
  entryPoints: [join(root, 'plugins/main.ts')],
  absWorkingDir: root,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  minify: true,
  legalComments: 'none',
  loader: { '.node': 'binary' },
  define: { __VERSION__: JSON.stringify(pkg.version), __COMMIT__: JSON.stringify(commit()) },
  logLevel: 'warning',
}

/** Replaces `folder` by hard links of `file` under every program's name. */
const linkPrograms = (folder, file) => {
  chmodSync(file, 0o755)
  // Whatever the umask: other users may call them.
  for (const one of [dirname(folder), folder]) chmodSync(one, 0o755)
  for (const name of programs) {
    rmSync(join(folder, name), { force: true })
    linkSync(file, join(folder, name))
  }
  rmSync(file)
}

/** A file of a package for any machine: npm installs those for this one, scripts/compilers/fetch.mjs the others. */
const fileOf = (name, file) => {
  const places = ['node_modules', 'dist-tools/packages'].map(place => join(root, place, name, file))
  const found = places.find(path => existsSync(path))
  if (!found) throw new Error(`${name} is not installed: node scripts/compilers/fetch.mjs ${name}`)
  return found
}

const bunFor = (arch, libc) => fileOf(bunPackages[`${arch}-${libc}`], 'bin/bun')

const hostLibc = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'

/** The one that runs here. */
const compiler = () => bunFor(process.arch, hostLibc)

/** The command line is not in the plugins: the module in its place, `path`, starts the program it is in. */
const commandLineBeside = path => ({
  name: 'command-line-beside',
  setup({ onResolve }) {
    onResolve({ filter: /\/cli\/process\.js$/ }, () => ({ path: join(root, path) }))
  },
})

const buildNode = async out => {
  const folder = join(out, 'node')
  const script = join(folder, '.script')
  const commandLine = join(folder, 'kubenet-cli')
  const addon = node.embedAddon(options.arch)
  mkdirSync(folder, { recursive: true })
  const loader = await bundle({
    ...common,
    entryPoints: [join(root, 'src/platform/node/archive.ts')],
    write: false,
  })
  const modules = await bundle({
    ...common,
    ...node.bundleOptions,
    plugins: [commandLineBeside('src/platform/node/command-line.ts'), addon, ...node.bundleOptions.plugins],
  })
  await node.makeScript({ loader: loader.outputFiles[0].text, modules: modules.outputFiles, out: script })
  linkPrograms(folder, script)
  await bundle({
    ...common,
    outfile: commandLine,
    banner: { js: '#!/usr/bin/env node' },
    plugins: [packCommandLine([]), addon],
  })
  chmodSync(commandLine, 0o755)
}

const buildPlugins = async folder => {
  const modules = join(folder, '.modules')
  const file = join(folder, '.program')
  const engine = bundleOptions(options.arch)
  const define = { ...common.define, ...engine.define }
  rmSync(modules, { recursive: true, force: true })
  await bundle({
    ...common,
    ...engine,
    define,
    outdir: modules,
    plugins: [commandLineBeside('src/platform/quickjs/command-line.ts'), ...engine.plugins],
  })
  makeProgram({ modules, entry: 'main.js', arch: options.arch, out: file })
  freezeHeap(file, options.arch)
  rmSync(modules, { recursive: true })
  linkPrograms(folder, file)
}

const buildCommandLine = async folder => {
  const bun = bunFor(options.arch, options.libc)
  bundled.add(bun)
  const script = join(folder, '.bundle.js')
  const file = join(folder, 'kubenet-cli')
  const conditions = ['bun']
  await bundle({
    ...common,
    outfile: script,
    conditions,
    external: ['bun:*'],
    plugins: [packCommandLine(conditions)],
  })
  rmSync(file, { force: true })
  execFileSync(
    compiler(),
    [
      'build',
      script,
      '--compile',
      '--bytecode',
      '--minify',
      // It runs as root in whatever folder its caller stands: nothing in there may change what it does.
      '--no-compile-autoload-dotenv',
      '--no-compile-autoload-bunfig',
      `--compile-executable-path=${bun}`,
      `--outfile=${file}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  rmSync(script)
  deafen(file)
  chmodSync(file, 0o755)
}

const buildStandalone = async out => {
  const folder = join(out, 'standalone')
  mkdirSync(folder, { recursive: true })
  await buildPlugins(folder)
  await buildCommandLine(folder)
}

const buildSchemas = async out => {
  const folder = join(out, 'schema')
  mkdirSync(folder, { recursive: true })
  const bundle = join(folder, '.schemas.cjs')
  await build({ ...common, entryPoints: [join(root, 'plugins/schemas.ts')], outfile: bundle, plugins: [] })
  for (const [name, schema] of Object.entries(require(bundle).schemas())) {
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(schema, null, 2)}\n`)
  }
  rmSync(bundle)
}

/** Files of a program's completions, as each shell's own folder wants them named. */
const completionFiles = { bash: 'kubenet', zsh: '_kubenet', fish: 'kubenet.fish' }

/** The manual page and the completions, as the program itself prints them: dist/man/kubenet.8, dist/completions/*. */
const writePages = out => {
  const flavour = options.flavour ?? 'node'
  const printed = words => execFileSync(join(out, flavour, 'kubenet'), words)
  for (const folder of ['man', 'completions']) mkdirSync(join(out, folder), { recursive: true })
  writeFileSync(join(out, 'man/kubenet.8'), printed(['man']))
  for (const [shell, name] of Object.entries(completionFiles))
    writeFileSync(join(out, 'completions', name), printed(['completion', shell]))
}

const out = join(root, options.out)
if (!options.flavour || options.flavour === 'node') await buildNode(out)
if (!options.flavour || options.flavour === 'standalone') await buildStandalone(out)
await buildSchemas(out)
writeBill(root, out, [...bundled], options.flavour === 'node' ? [] : engineParts(options.arch))
// What is for another kind of machine does not run on this one; the pages are the same for all.
const runsHere = options.arch === process.arch && options.libc === hostLibc
if (runsHere) writePages(out)
