/**
 * Makes scripts for Node.js: an addon for the system calls that node:fs does not have, and one file of a bundle's many
 * modules, of which a call compiles those it uses. As one piece V8 would read all of them at every start, which took
 * longer than what most verbs do.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { compileFunction } from 'node:vm'
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
 * Of the two ways to run a program plugins have the one that does nothing else meanwhile. It is imported by `require`, to be
 * loaded at once but late: esbuild splits at import() alone.
 */
const runAlone = {
  name: 'run-alone',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/run-program$/ }, () => ({ path: 'run-alone.js', external: true }))
  },
}

/** What esbuild makes the modules by: as text that can be taken apart line by line, and is made small afterwards. */
export const bundleOptions = {
  entryPoints: [join(root, 'plugins/main.ts'), join(ours, 'run-alone.ts')],
  entryNames: '[name]',
  plugins: [runAlone],
  format: 'esm',
  splitting: true,
  chunkNames: '[name]-[hash]',
  minify: false,
  outdir: folder,
  write: false,
}

/** `a, b as c` of an import or export statement, as pairs. */
const pairsOf = names =>
  names
    .split(',')
    .map(name => name.trim().split(' as '))
    .filter(([name]) => name !== '')

const required = from => `require("${from.replace(/^\.\//, '')}")`

/** An import statement as one of CommonJS: what is imported is assigned once, see `checkConstant`. */
const importFrom = (what, from) => {
  if (what === undefined) return `${required(from)};`
  if (!what.startsWith('{')) return `const ${what.replace('* as ', '')} = ${required(from)};`
  const names = pairsOf(what.slice(1, -1)).map(([name, local = name]) => `${name}: ${local}`)
  return `const { ${names.join(', ')} } = ${required(from)};`
}

/** An importer has the value that an export had in the beginning, so it must not get another one. */
const checkConstant = (code, name, local) => {
  const variable = local.replaceAll('$', '\\$')
  const assignment = new RegExp(
    `(?<![.\\w$]|\\b(?:var|const|let) )(${variable} *([-+*/%&|^<>?]+)?=(?![=>])|${variable} *(\\+\\+|--)|(\\+\\+|--)${variable}(?![\\w$]))`,
  )
  if (assignment.test(code)) throw new Error(`${name} exports "${local}", which is assigned to later`)
}

/** One of esbuild's ES modules as the body of a function that archive.ts calls. */
const toCommonJs = async (name, text) => {
  const imports = []
  const exported = []
  const code = text
    .replaceAll(/^import (?:([^;"]+) from )?"([^"]+)";$/gm, (_, what, from) => {
      imports.push(importFrom(what, from))
      return ''
    })
    .replaceAll(/^export \{([^}]*)\};$/gm, (_, names) => {
      exported.push(...pairsOf(names))
      return ''
    })
    .replaceAll(/\bimport\("([^"]+)"\)/g, (_, from) => `Promise.resolve().then(() => ${required(from)})`)
  for (const [local] of exported) checkConstant(code, name, local)
  const properties = exported.map(([local, outside = local]) => `${outside}: ${local}`)
  const whole = `"use strict";\n${imports.join('\n')}\n${code}\nObject.assign(exports, { ${properties.join(', ')} });`
  const { code: small } = await transform(whole, { format: 'cjs', target: 'node20', minify: true })
  compileFunction(small) // what is left of an import or export is no statement of a function
  if (small.includes('*/')) throw new Error(`${name} has the end of a comment in it`)
  return small
}

/** Writes the script `out`: `loader` (src/platform/node/archive.ts) and the modules that bundleOptions have made. */
export const makeScript = async ({ loader, modules, out }) => {
  const places = {}
  let source = 'function archive(){/*'
  for (const { path, text } of modules.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const name = basename(path)
    const code = await toCommonJs(name, text)
    places[name] = [source.length, source.length + code.length]
    source += code
  }
  writeFileSync(out, `#!/usr/bin/env node\nconst places=${JSON.stringify(places)};\n${loader}${source}*/}\n`)
}
