/** Files that a page names, and pages and sections that it links to, are there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { pages, root } from './fixtures/document'

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
  for (const document of pages) {
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

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

/** The anchors of a page's headings, outside of its blocks. */
const anchorsOf = (text: string): string[] =>
  [...text.replaceAll(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    anchorOf(heading),
  )

t.test('every link of a page leads to a file, and to a section of it', async t => {
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8')
    for (const [, target = '', anchor] of text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)/g)) {
      const path = target === '' ? page : join(dirname(page), target)
      if (!existsSync(join(root, path))) t.fail(`${page}: ${path} is not there`)
      else if (anchor) {
        t.ok(anchorsOf(readFileSync(join(root, path), 'utf8')).includes(anchor), `${page}: ${path}#${anchor}`)
      }
    }
  }
})
