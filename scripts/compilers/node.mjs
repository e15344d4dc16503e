/** Makes what programs for Node.js have besides JavaScript: an addon for the system calls that node:fs does not have. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'dist-tools/node')
const source = join(root, 'src/platform/node/calls.c')
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
  execFileSync(compilers[arch], [...flags, ...link, `-I${headers}`, source, '-o', scratch], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  renameSync(scratch, file)
  return file
}

/** Puts the addon for `arch` into a bundle, and what takes it out again. */
export const embedAddon = arch => ({
  name: 'embed-addon',
  setup({ onResolve }) {
    onResolve({ filter: /^#addon$/ }, () => ({ path: join(root, 'src/platform/node/addon.ts') }))
    onResolve({ filter: /^addon-file$/ }, () => ({ path: addonFor(arch) }))
  },
})
