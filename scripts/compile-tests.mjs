/** Compiles TypeScript of test/ to programs in dist-test/. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const outdir = join(root, 'dist-test')

/** A test finds its fixtures beside its source, wherever it was compiled to. */
const keepDirname = {
  name: 'keep-dirname',
  setup({ onLoad }) {
    onLoad({ filter: /\/test\/.*\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replaceAll(/\b__dirname\b/g, JSON.stringify(dirname(path))),
      loader: 'ts',
    }))
  },
}

/** Compiles files, named from the root of the repository; answers each with its program's path. */
export const compile = async files => {
  await build({
    entryPoints: files.map(file => join(root, file)),
    absWorkingDir: root,
    outdir,
    outbase: root,
    bundle: true,
    packages: 'external',
    // The file that the build has left in dist-tools/.
    external: ['#addon'],
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
    plugins: [keepDirname],
  })
  return files.map(file => ({ file, program: join(outdir, file.replace(/\.ts$/, '.js')) }))
}
