/**
 * Builds dist/, from the same input the same bytes:
 *
 *   standalone/NAME          the plugins and the command line with their runtime, for nodes that have nothing
 *   standalone/kubenet-agent the agent with its runtime
 *   node/NAME, kubenet-agent the same as scripts, for nodes that have Node.js
 *   schema/NAME.json         JSON Schemas of the plugins' configurations, and of a list (conflist)
 *   man/, completions/       what the command line prints of itself
 *   sbom.cdx.json            what the programs consist of; licenses.md, under which licences
 *
 *   node build.mjs [--arch x64|arm64] [--libc glibc|musl] [--flavour node|standalone] [--out dist]
 *
 * All NAMEs of a kind are hard links of one file, which goes by the name it is called by. So there are four programs, and
 * each is made in the same two steps: esbuild bundles TypeScript and libraries to JavaScript, then a file of
 * scripts/compilers makes an executable of that. Below they are in their order; why the compilers do what they do, they
 * say themselves.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { writeBill } from './scripts/bill-of-materials.mjs'
import * as bun from './scripts/compilers/bun.mjs'
import { freezeHeap } from './scripts/compilers/frozen.mjs'
import * as node from './scripts/compilers/node.mjs'
import * as quickjs from './scripts/compilers/quickjs.mjs'

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

/** The names of the plugins' program; plugins/main.ts goes by the one it is started under. */
const names = ['bandwidth', 'bridge', 'host-local', 'kubenet', 'loopback', 'portmap']
const pluginsEntry = 'plugins/main.ts'
/** What only people's calls import: no plugin's call may pay for it. */
const commandLineEntry = 'cli/main.ts'
const agentEntry = 'agent/main.ts'
const agentName = 'kubenet-agent'

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

const common = {
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

/** The files that went into the programs: the software bill has the packages they are of. */
const bundled = new Set()

const bundle = async options => {
  const answer = await build({ ...common, ...options, metafile: true })
  for (const file of Object.keys(answer.metafile.inputs)) bundled.add(file)
  return answer
}

/** Replaces `folder` by hard links of `file` under every name of the plugins. */
const linkNames = (folder, file) => {
  chmodSync(file, 0o755)
  // Whatever the umask: other users may call them.
  for (const one of [dirname(folder), folder]) chmodSync(one, 0o755)
  for (const name of names) {
    rmSync(join(folder, name), { force: true })
    linkSync(file, join(folder, name))
  }
  rmSync(file)
}

/** The modules of a bundle that are loaded for the command line alone, by their files' names. */
const commandLineModules = ({ outputs }) => {
  const entry = Object.keys(outputs).find(path => outputs[path].entryPoint === pluginsEntry)
  const needed = new Set()
  const visit = path => {
    if (needed.has(path) || outputs[path].entryPoint === commandLineEntry) return
    needed.add(path)
    for (const { path: imported, external } of outputs[path].imports) if (!external) visit(imported)
  }
  visit(entry)
  return Object.keys(outputs)
    .filter(path => !needed.has(path))
    .map(path => basename(path))
}

/** Plugins and command line for nodes that have nothing: modules → bytecode → a program → with its heap. */
const buildStandalone = async folder => {
  const modules = join(folder, '.modules')
  const file = join(folder, '.program')
  const engine = quickjs.bundleOptions(options.arch)
  rmSync(modules, { recursive: true, force: true })
  const { metafile } = await bundle({
    ...engine,
    entryPoints: [join(root, pluginsEntry)],
    define: { ...common.define, ...engine.define },
    outdir: modules,
  })
  const cold = commandLineModules(metafile)
  quickjs.makeProgram({ modules, entry: 'main.js', cold, arch: options.arch, out: file })
  freezeHeap(file, options.arch)
  rmSync(modules, { recursive: true })
  linkNames(folder, file)
}

/** The agent for nodes, and images, that have no Node.js. */
const buildStandaloneAgent = async folder => {
  const { arch, libc } = options
  const script = join(folder, '.agent.js')
  bundled.add(bun.bunFor(arch, libc))
  await bundle({ ...bun.bundleOptions, entryPoints: [join(root, agentEntry)], outfile: script })
  bun.makeProgram({ script, arch, libc, out: join(folder, agentName) })
  rmSync(script)
}

/** Plugins and command line as one script, of which a call compiles the modules it uses. */
const buildScript = async folder => {
  const file = join(folder, '.script')
  const loader = await bundle({
    entryPoints: [join(root, 'src/platform/node/archive.ts')],
    write: false,
  })
  const addon = node.embedAddon(options.arch)
  const modules = await bundle({ ...node.bundleOptions, plugins: [addon, ...node.bundleOptions.plugins] })
  await node.makeScript({ loader: loader.outputFiles[0].text, modules: modules.outputFiles, out: file })
  linkNames(folder, file)
}

/** The agent as a script, which lives long enough to be read as a whole. */
const buildAgentScript = async folder => {
  const outfile = join(folder, agentName)
  const banner = { js: '#!/usr/bin/env node' }
  const plugins = [node.embedAddon(options.arch)]
  await bundle({ entryPoints: [join(root, agentEntry)], outfile, banner, plugins })
  chmodSync(outfile, 0o755)
}

const buildSchemas = async folder => {
  const script = join(folder, '.schemas.cjs')
  await build({ ...common, entryPoints: [join(root, 'plugins/schemas.ts')], outfile: script })
  for (const [name, schema] of Object.entries(require(script).schemaFiles())) {
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(schema, null, 2)}\n`)
  }
  rmSync(script)
}

/** Files of a program's completions, as each shell's own folder wants them named. */
const completionFiles = { bash: 'kubenet', zsh: '_kubenet', fish: 'kubenet.fish' }

/** The manual page and the completions, as the program itself prints them. */
const writePages = out => {
  const printed = words => execFileSync(join(out, options.flavour ?? 'node', 'kubenet'), words)
  for (const folder of ['man', 'completions']) mkdirSync(join(out, folder), { recursive: true })
  writeFileSync(join(out, 'man/kubenet.8'), printed(['man']))
  for (const [shell, name] of Object.entries(completionFiles))
    writeFileSync(join(out, 'completions', name), printed(['completion', shell]))
}

const out = join(root, options.out)
const folderOf = name => {
  mkdirSync(join(out, name), { recursive: true })
  return join(out, name)
}
if (options.flavour !== 'standalone') {
  await buildScript(folderOf('node'))
  await buildAgentScript(folderOf('node'))
}
if (options.flavour !== 'node') {
  await buildStandalone(folderOf('standalone'))
  await buildStandaloneAgent(folderOf('standalone'))
}
await buildSchemas(folderOf('schema'))
writeBill(root, out, [...bundled], options.flavour === 'node' ? [] : quickjs.engineParts(options.arch))
// What is for another kind of machine does not run on this one; the pages are the same for all.
if (options.arch === process.arch && options.libc === bun.hostLibc) writePages(out)
