/** What a document names of the project's own files is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const root = join(__dirname, '../..')

const documents = [
  ...readdirSync(root).filter(name => name.endsWith('.md') && name !== 'CHANGELOG.md'),
  ...readdirSync(join(root, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
]

/** `test/live/gc.ts`, `scripts/audit`, `plugins/bridge`: in backquotes; NAME stands for any. */
const named = /`((?:test|scripts|src|plugins|node|cli|agent|bench|deploy)\/[\w./*-]+)`/g

/** Does a name fit the last part of a path that has stars in it? */
const matches = (path: string, name: string): boolean => {
  const last = path
    .slice(path.lastIndexOf('/') + 1)
    .replaceAll('.', '\\.')
    .replaceAll('*', '.*')
  return new RegExp(`^${last}$`).test(name)
}

t.test('every file and folder that a document names is there', async t => {
  let found = 0
  for (const document of documents) {
    for (const [, path = ''] of readFileSync(join(root, document), 'utf8').matchAll(named)) {
      found++
      if (path.includes('/NAME')) continue
      const isThere = path.includes('*')
        ? readdirSync(join(root, path.slice(0, path.lastIndexOf('/')))).some(name => matches(path, name))
        : existsSync(join(root, path))
      t.ok(isThere, `${document}: ${path}`)
    }
  }
  t.ok(found > 50, `${found} of them`)
})
