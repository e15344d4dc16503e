/**
 * Makes scripts for Node.js: an addon for the system calls that node:fs does not have, and one file of a bundle's many
 * modules, of which a call compiles those it uses. As one piece V8 would read all of them at every start, which took
 * longer than what most verbs do.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { transform } from 'esbuild'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'dist-tools/node')
const ours = join(root, 'src/platform/node')
const headers = join(root, 'node_modules/node-api-headers/include')

const compilers = { x64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' }

const flags = ['-O2', '-Wall', '-Wextra', '-fPIC', '-shared', '-s', '-fno-asynchronous-unwind-tables']
// Linked with nothing. Each padded page would be one more to read and to write at every call.
const link = ['-nostdlib', '-fno-stack-protector', '-Wl,-z,now,-z,norelro,-z,noseparate-code,--build-id=none']

/** The addon for `arch`, newly built. The one for this machine is what "#addon" in package.json stands for. */
const addonFor = arch => {
  const file = join(folder, arch === process.arch ? 'calls.node' : `calls-${arch}.node`)
  const scratch = `${file}.${process.pid}`
  mkdirSync(folder, { recursive: true })
  const sources = ['calls.c', '../sha512.c'].map(name => join(ours, name))
  execFileSync(compilers[arch], [...flags, ...link, `-I${headers}`, ...sources, '-o', scratch], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  renameSync(scratch, file)
  return file
}

/** Puts the addon for `arch` into a bundle, and what takes it out again. */
export const embedAddon = arch => ({
  name: 'embed-addon',
  setup({ onResolve }) {
    onResolve({ filter: /^#addon$/ }, () => ({ path: join(ours, 'addon.ts') }))
    onResolve({ filter: /^addon-file$/ }, () => ({ path: addonFor(arch) }))
  },
})

/**
 * The two ways to run a program are imported by `require`, to be loaded at once but late. esbuild makes a module of its own
 * only for what import() names, so they are entries, and what is required is their name in the archive.
 */
const runners = {
  name: 'runners',
  setup({ onResolve }) {
    onResolve({ filter: /\/run-(alone|program)$/, namespace: 'file' }, ({ path, kind }) =>
      kind === 'require-call' ? { path: `${basename(path)}.js`, external: true } : undefined,
    )
  },
}

/** How esbuild makes the modules: ES modules first, as only those are split. */
export const bundleOptions = {
  entryPoints: [
    join(root, 'plugins/main.ts'),
    join(ours, 'run-alone.ts'),
    join(root, 'src/platform/run-program.ts'),
  ],
  entryNames: '[name]',
  plugins: [runners],
  format: 'esm',
  splitting: true,
  chunkNames: '[name]-[hash]',
  minify: false,
  outdir: folder,
  write: false,
}

const endOfComment = '*/'
/** What stands for it in the archive, as archive.ts knows: a character that no code has between these two. */
const hiddenEnd = '*\x01/'

/** One of esbuild's ES modules as the body of a function that archive.ts calls. */
const toCommonJs = async text => {
  // import() would go to Node.js, which knows nothing of the archive: it becomes a require.
  const supported = { 'dynamic-import': false }
  const { code } = await transform(text, {
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    supported,
    minify: true,
  })
  return code.trimEnd().replaceAll(endOfComment, hiddenEnd)
}

/** Writes the script `out`: `loader` (src/platform/node/archive.ts) and the modules that bundleOptions have made. */
export const makeScript = async ({ loader, modules, out }) => {
  const places = {}
  let source = 'function archive(){/*'
  for (const { path, text } of modules.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const name = basename(path)
    const code = await toCommonJs(text)
    places[name] = [source.length, source.length + code.length]
    source += code
  }
  writeFileSync(out, `#!/usr/bin/env node\nconst places=${JSON.stringify(places)};\n${loader}${source}*/}\n`)
}
