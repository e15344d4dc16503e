/**
 * Makes a program of QuickJS out of one TypeScript file, to see what code for Node.js does there:
 *   node scripts/compilers/compile-one.mjs FILE.ts PROGRAM
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'
import { bundleOptions, makeProgram } from './quickjs.mjs'

const [file, program] = process.argv.slice(2)
const modules = mkdtempSync(join(dirname(program), '.modules-'))
try {
  const entryPoints = [file]
  await build({
    ...bundleOptions(process.arch),
    entryPoints,
    bundle: true,
    outdir: modules,
    logLevel: 'warning',
  })
  makeProgram({ modules, entry: basename(file, '.ts').concat('.js'), arch: process.arch, out: program })
} finally {
  rmSync(modules, { recursive: true, force: true })
}
