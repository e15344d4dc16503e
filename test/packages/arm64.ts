/** The programs for arm64, as a release has them: built here, and run by qemu for what needs no kernel of their own. */
import { execFileSync } from 'node:child_process'
import { existsSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const root = join(__dirname, '../..')
const qemu = '/usr/bin/qemu-aarch64-static'
const libc = '/usr/aarch64-linux-gnu'

const needed: Record<string, string> = {
  [qemu]: 'qemu-user-static is not installed',
  '/usr/bin/aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu is not installed',
  [`${libc}/include/stdio.h`]: 'libc6-dev-arm64-cross is not installed',
  [`${libc}/lib/ld-linux-aarch64.so.1`]: 'libc6-arm64-cross is not installed',
  [join(root, 'dist-tools/packages/@oven/bun-linux-aarch64')]:
    'the compiler for arm64 is not there: node scripts/compilers/fetch.mjs fetches it',
}

const [missing] = Object.entries(needed).flatMap(([path, reason]) => (existsSync(path) ? [] : [reason]))

/** <elf.h>: e_machine, two bytes at 18. */
const machineOf = (path: string): number => {
  const head = Buffer.alloc(20)
  readSync(openSync(path, 'r'), head)
  return head.readUInt16LE(18)
}
const EM_AARCH64 = 183

t.test('the programs for arm64', { skip: missing ?? false }, async t => {
  const out = join(root, 'dist-tools/try-arm64')
  t.teardown(() => rmSync(out, { recursive: true, force: true }))
  const target = ['--arch', 'arm64', '--libc', 'glibc', '--out', 'dist-tools/try-arm64']
  execFileSync(process.execPath, ['build.mjs', ...target], { cwd: root })
  const programs = ['bandwidth', 'bridge', 'host-local', 'kubenet', 'loopback', 'portmap']
  const inodes = programs.map(name => statSync(join(out, 'standalone', name)).ino)
  t.equal(new Set(inodes).size, 1, 'are one file')
  t.equal(machineOf(join(out, 'standalone/bridge')), EM_AARCH64, 'for that machine')

  for (const name of ['bridge', 'kubenet', 'bandwidth']) {
    const stdout = execFileSync(qemu, ['-L', libc, join(out, 'standalone', name)], {
      encoding: 'utf8',
      input: '{"cniVersion":"1.0.0"}',
      env: { CNI_COMMAND: 'VERSION' },
    })
    t.match(
      JSON.parse(stdout).supportedVersions,
      name === 'bandwidth' ? ['0.3.0'] : ['0.1.0', '0.2.0', '0.3.0'],
      name,
    )
  }
})
