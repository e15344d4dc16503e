/**
 * Puts packages of the lock file that npm leaves out, because they are for other machines, into dist-tools/packages:
 *   node scripts/compilers/fetch.mjs @oven/bun-linux-aarch64 ...
 * What is downloaded must have the lock file's checksum.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'dist-tools/packages')
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))

for (const name of process.argv.slice(2)) {
  const target = join(folder, name)
  const locked = packages[`node_modules/${name}`]
  if (!locked) throw new Error(`${name} is not in package-lock.json`)
  if ([join(root, 'node_modules', name), target].some(place => existsSync(join(place, 'package.json'))))
    continue
  process.stderr.write(`fetching ${name} ${locked.version}\n`)
  mkdirSync(folder, { recursive: true })
  const scratch = mkdtempSync(join(folder, '.fetch-'))
  try {
    const argv = ['pack', '--json', '--pack-destination', scratch, `${name}@${locked.version}`]
    const answer = JSON.parse(
      execFileSync('npm', argv, { cwd: scratch, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
    )
    // An array before npm 12, an object by name since.
    const { filename, integrity } = Array.isArray(answer) ? answer[0] : Object.values(answer)[0]
    if (integrity !== locked.integrity)
      throw new Error(
        `${name} ${locked.version} has the checksum ${integrity}, the lock file says ${locked.integrity}`,
      )
    execFileSync('tar', ['-C', scratch, '-xzf', join(scratch, filename)])
    mkdirSync(dirname(target), { recursive: true })
    renameSync(join(scratch, 'package'), target)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
