/** What the C compiler links into every static program from the libraries of the machine it builds on. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'

const words = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).trim()

const fileOf = (compiler, archive) => realpathSync(words(compiler, `-print-file-name=${archive}`))

/** The Debian package that an installed file is of: its name without an architecture, and its version. */
const packageOf = file => {
  const name = words('dpkg-query', '-S', file).split(/[:,]/)[0]
  return { package: name, version: words('dpkg-query', '-W', name).split(/\s/)[1] }
}

const libraries = [
  {
    name: 'glibc',
    archive: 'libc.a',
    license: 'LGPL-2.1-or-later',
    text: () =>
      [
        'The GNU C Library, copyright the Free Software Foundation, Inc. and others, is linked into the static',
        'programs. Its source is the Debian package glibc; to have them with another build of it, build them from',
        'their own source with `node build.mjs --flavour standalone` where that one is installed.\n',
        '```',
        readFileSync('/usr/share/common-licenses/LGPL-2.1', 'utf8').trim(),
        '```',
      ].join('\n'),
  },
  {
    name: 'libgcc',
    archive: 'libgcc.a',
    license: 'GPL-3.0-or-later WITH GCC-exception-3.1',
    text: () =>
      [
        'The compiler’s own support library, copyright the Free Software Foundation, Inc. Under the GCC Runtime Library',
        'Exception, version 3.1, a program that GCC compiled and that contains it may be passed on under any terms.',
      ].join('\n'),
  },
]

/** What the software bill says of the libraries that this C compiler links in. */
export const linkedLibraries = compiler =>
  libraries.map(({ archive, ...library }) => {
    const file = fileOf(compiler, archive)
    const { package: name, version } = packageOf(file)
    return {
      ...library,
      version,
      purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}`,
      sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
    }
  })
