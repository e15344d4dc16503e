/**
 * Makes programs of QuickJS and a bundle's modules: one static executable that needs nothing of the host. The engine is
 * Debian's source package, fetched once by apt's own downloader and built by the C compiler of the machine.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { linkedLibraries } from './linked-libraries.mjs'

const quickjs = {
  name: 'quickjs',
  version: '2025.04.26',
  license: 'MIT',
  text: () => readFileSync(join(sourceFolder(), 'LICENSE'), 'utf8').trim(),
  sha256: 'ec81da5b3249ed648dbc7df4a1654988910e66a118d9b71cb63534216efcfbbe',
}

const archive = `quickjs_${quickjs.version}.orig.tar.xz`
const root = join(import.meta.dirname, '../..')
const folder = join(root, 'dist-tools/quickjs')
const source = join(folder, `quickjs-${quickjs.version}`)
const ours = join(root, 'src/platform/quickjs')

const run = (program, args, options = {}) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options })

/** The address of Debian's main archive, as apt has it from its lists; undefined if it has none yet. */
const knownMirror = () => {
  const format = '$(REPO_URI) $(ORIGIN)'
  const lines = run('apt-get', ['indextargets', '--format', format]).split('\n')
  const line = lines.find(line => line.endsWith(' Debian') && !line.includes('security'))
  return line?.split(' ')[0]?.replace(/\/$/, '')
}

/** Where this machine gets its Debian packages from. */
const mirror = () => {
  const known = knownMirror()
  if (known) return known
  run('apt-get', ['update', '-qq'])
  const found = knownMirror()
  if (!found) throw new Error(`apt knows no Debian mirror; put ${archive} into ${folder} and build again`)
  return found
}

/** The engine's source, its licence included. */
export const sourceFolder = () => {
  if (existsSync(join(source, 'quickjs.c'))) return source
  mkdirSync(folder, { recursive: true })
  const file = join(folder, archive)
  if (!existsSync(file)) {
    process.stderr.write(`fetching ${archive}\n`)
    const address = `${mirror()}/pool/main/q/quickjs/${archive}`
    // As root apt's downloader becomes the user _apt, who may not write here.
    const options = ['-o', 'APT::Sandbox::User=root']
    run('/usr/lib/apt/apt-helper', [...options, 'download-file', address, file, `SHA256:${quickjs.sha256}`])
  }
  const digest = run('sha256sum', [file]).split(' ')[0]
  if (digest !== quickjs.sha256) throw new Error(`${file} has the checksum ${digest}, not ${quickjs.sha256}`)
  const scratch = mkdtempSync(join(folder, '.unpack-'))
  try {
    run('tar', ['-C', scratch, '-xJf', file])
    renameSync(join(scratch, `quickjs-${quickjs.version}`), source)
  } catch (error) {
    if (!existsSync(join(source, 'quickjs.c'))) throw error
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  return source
}

/** What stands for each of Node's own modules, of which QuickJS has none. */
const nodeModules = new Map([
  ['fs', 'fs.ts'],
  ['os', 'os.ts'],
  ['path', 'path.ts'],
  ['tty', 'tty.ts'],
  ['zlib', 'zlib.ts'],
])

/**
 * The package commander is the heir of an EventEmitter. It asks for these others at once, and uses them for subcommands
 * that are programs, for help and for processes that it ends: nothing of that is left to it (node/command/parse.ts).
 */
const commanderModules = new Map([
  ['events', 'events.ts'],
  ['child_process', undefined],
  ['fs', undefined],
  ['path', undefined],
  ['process', undefined],
])

/** A function that is missing, or a module, ends the build: otherwise a verb would find out, on a node. */
const onlyThese = {
  name: 'node-modules',
  setup({ onResolve, onLoad }) {
    onLoad({ filter: /./, namespace: 'unused' }, () => ({ contents: 'module.exports = {}' }))
    onResolve({ filter: /^(node:)?\w+$/ }, ({ path, importer }) => {
      const name = path.replace('node:', '')
      if (!builtinModules.includes(name)) return undefined
      const modules = importer.includes('/node_modules/commander/') ? commanderModules : nodeModules
      const file = modules.get(name)
      if (file) return { path: join(ours, file) }
      if (modules.has(name)) return { path: name, namespace: 'unused' }
      return {
        errors: [{ text: `QuickJS has no "${path}": what is needed of it belongs in src/platform/quickjs` }],
      }
    })
  },
}

/** What esbuild makes modules for QuickJS by, out of code that was written for Node.js. */
export const bundleOptions = arch => ({
  // Modules, so that a call unpacks only those that its verb needs.
  format: 'esm',
  splitting: true,
  chunkNames: '[name]-[hash]',
  platform: 'node',
  target: 'es2023',
  conditions: ['quickjs'],
  inject: [join(ours, 'globals.ts')],
  plugins: [onlyThese],
  define: { 'process.arch': JSON.stringify(arch) },
})

/** What the software bill of a program for `arch` says of the engine, and of what it is linked with. */
export const engineParts = arch => [
  { ...quickjs, purl: `pkg:deb/debian/${quickjs.name}@${quickjs.version}?arch=source` },
  ...linkedLibraries(compilers[arch]),
]

const compilers = { x64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' }

// -fwrapv: the engine's arithmetic wants it. The rest keeps a mistake in it from becoming another program's way in.
const flags = [
  '-O2',
  '-D_GNU_SOURCE',
  '-fwrapv',
  '-ffunction-sections',
  '-fdata-sections',
  '-fstack-protector-strong',
]
const hardening = ['-D_FORTIFY_SOURCE=2', '-fPIE', '-Wno-array-bounds', '-Wno-format-truncation']
const define = `-DCONFIG_VERSION="${quickjs.version}"`

/** The engine as a library for one architecture, built once for each version, set of flags and compiler. */
const libraryFor = arch => {
  const compiler = run(compilers[arch], ['--version'])
  const inputs = JSON.stringify([quickjs.sha256, flags, hardening, compiler])
  const digest = createHash('sha256').update(inputs).digest('hex').slice(0, 12)
  const file = join(folder, `engine-${arch}-${digest}.o`)
  if (existsSync(file)) return file
  const from = sourceFolder()
  const scratch = mkdtempSync(join(folder, '.build-'))
  try {
    const parts = ['quickjs', 'libregexp', 'libunicode', 'cutils', 'dtoa']
    for (const part of parts)
      run(
        compilers[arch],
        [...flags, ...hardening, define, '-c', `${part}.c`, '-o', join(scratch, `${part}.o`)],
        {
          cwd: from,
        },
      )
    const whole = join(scratch, 'engine.o')
    run(compilers[arch], ['-r', '-nostdlib', ...parts.map(part => join(scratch, `${part}.o`)), '-o', whole])
    renameSync(whole, file)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  return file
}

/**
 * Writes the executable `out` for `arch`; `modules` is a folder of ES modules, `entry` the one to begin with, and `cold`
 * are the names of those that are no part of a frozen heap.
 */
export const makeProgram = ({ modules, entry, cold = [], arch, out }) => {
  const from = sourceFolder()
  const library = libraryFor(arch)
  const scratch = mkdtempSync(join(folder, '.program-'))
  const include = `-I${from}`
  try {
    const compile = join(scratch, 'compile')
    const own = process.arch
    run(compilers[own], [...flags, include, join(ours, 'compile.c'), libraryFor(own), '-lm', '-o', compile])
    const hot = readdirSync(modules).filter(name => name !== entry && !cold.includes(name))
    const words = [entry, ...hot.sort(), '--', ...cold.toSorted()]
    const code = run(compile, words, { cwd: modules, maxBuffer: 1 << 28 })
    writeFileSync(join(scratch, 'modules.c'), code)
    const sources = ['program.c', 'child.c', 'frozen.c', 'heap.c', 'text.c', '../sha512.c'].map(name =>
      join(ours, name),
    )
    const files = [...sources, join(scratch, 'modules.c'), library]
    const link = [
      '-static-pie',
      '-lm',
      '-s',
      '-Wl,--gc-sections,-z,relro,-z,now,--build-id=none,--wrap=gettimeofday',
    ]
    run(compilers[arch], [...flags, ...hardening, '-Wall', include, ...files, ...link, '-o', out])
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
