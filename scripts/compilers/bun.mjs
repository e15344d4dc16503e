/**
 * The agent with its runtime: a program compiled by Bun, which knows HTTP and TLS. It needs glibc, or musl, of the node or
 * of its image.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { deafen } from './deafen.mjs'

const root = join(import.meta.dirname, '../..')

/** Bun's packages, by the machine and the C library they run on and build for. "baseline" runs on every x86-64. */
const packages = {
  'x64-glibc': '@oven/bun-linux-x64-baseline',
  'x64-musl': '@oven/bun-linux-x64-musl-baseline',
  'arm64-glibc': '@oven/bun-linux-aarch64',
  'arm64-musl': '@oven/bun-linux-aarch64-musl',
}

/** Bun for a machine: npm installs the one for this machine, scripts/compilers/fetch.mjs the others. */
export const bunFor = (arch, libc) => {
  const name = packages[`${arch}-${libc}`]
  const places = ['node_modules', 'dist-tools/packages'].map(place => join(root, place, name, 'bin/bun'))
  const found = places.find(path => existsSync(path))
  if (!found) throw new Error(`${name} is not installed: node scripts/compilers/fetch.mjs ${name}`)
  return found
}

/** The C library of this machine. */
export const hostLibc = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'

/** What esbuild makes the script by that Bun compiles. */
export const bundleOptions = { conditions: ['bun'], external: ['bun:*'] }

/** Writes the executable `out`: the bundle `script`, and Bun for that machine. */
export const makeProgram = ({ script, arch, libc, out }) => {
  rmSync(out, { force: true })
  const compiler = bunFor(process.arch, hostLibc)
  const options = [
    '--compile',
    // It runs as root in whatever folder its caller stands: nothing in there may change what it does.
    '--no-compile-autoload-dotenv',
    '--no-compile-autoload-bunfig',
    `--compile-executable-path=${bunFor(arch, libc)}`,
    `--outfile=${out}`,
  ]
  execFileSync(compiler, ['build', script, ...options], { stdio: ['ignore', 'ignore', 'inherit'] })
  deafen(out)
  chmodSync(out, 0o755)
}
