/** What is built: the same input gives the same bytes, and a list of all that is in it. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { isSoak } from './fixtures/extent'

const run = promisify(execFile)
const root = join(__dirname, '..')

/** Every file that is built, by its digest. */
const digestsIn = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true })
      .map(String)
      .filter(name => statSync(join(folder, name)).isFile())
      .sort()
      .map(name => [
        name,
        createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex'),
      ]),
  )

// The standalone programs take half a minute each.
for (const flavour of isSoak ? ['node', 'standalone'] : ['node']) {
  t.test(`[${flavour}] built twice, the bytes are the same`, async t => {
    const folder = t.testdir()
    const build = (out: string) =>
      run(process.execPath, [
        join(root, 'build.mjs'),
        ...['--flavour', flavour, '--out', relative(root, join(folder, out))],
      ])
    await build('first')
    await build('second')
    const first = digestsIn(join(folder, 'first'))
    t.ok(Object.keys(first).includes(`${flavour}/kubenet`))
    t.same(digestsIn(join(folder, 'second')), first)
    t.test('what is in it', async t => {
      const bill = JSON.parse(readFileSync(join(folder, 'first/sbom.cdx.json'), 'utf8'))
      t.match(bill, { bomFormat: 'CycloneDX', specVersion: '1.5', version: 1 })
      const names: string[] = bill.components.map(({ name }: { name: string }) => name)
      const engines = flavour === 'node' ? [] : ['quickjs', 'glibc', 'libgcc', '@oven/bun']
      for (const needed of ['netlink', 'valibot', '@kubernetes/client-node', ...engines])
        t.ok(
          names.some(name => name.includes(needed)),
          `${needed} is listed`,
        )
      for (const tool of ['esbuild', 'typescript', 'tap', '@biomejs/biome', 'koffi'])
        t.notOk(names.includes(tool), `${tool} is not in it`)
      const free = /^(MIT|ISC|0BSD|Apache-2\.0|BSD-[23]-Clause|BlueOak-1\.0\.0)$/
      for (const { name, version, licenses, purl, hashes } of bill.components) {
        // What a static program is linked with: free as well, for whom can build it again from its source.
        const linked = {
          glibc: { license: { id: 'LGPL-2.1-or-later' } },
          libgcc: { expression: 'GPL-3.0-or-later WITH GCC-exception-3.1' },
        }[String(name)]
        const known = linked ?? { license: { id: free } }
        t.match(licenses, [known], `${name}: its licence is known and lets us pass it on`)
        if (linked || name === 'quickjs') {
          t.match(purl, /^pkg:deb\/debian\/(quickjs@[\d.]+\?arch=source|lib(c6|gcc)[-\w]*@[-.~%\w]+)$/, name)
          t.match(hashes, [{ alg: 'SHA-256', content: /^[0-9a-f]{64}$/ }], name)
          continue
        }
        t.equal(purl, `pkg:npm/${name.replace('@', '%40')}@${version}`)
        t.match(hashes, [{ alg: 'SHA-512', content: /^[0-9a-f]{128}$/ }], name)
      }
      const licences = readFileSync(join(folder, 'first/licenses.md'), 'utf8')
      for (const name of names) t.ok(licences.includes(`\n## ${name} `), `${name}: the text is there`)
    })
    rmSync(folder, { recursive: true })
  })
}
