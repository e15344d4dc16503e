/** The pages stay short enough to be read: a new fact replaces old text, or links to its page. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pages, root } from './fixtures/document'

/** The most words that all pages of docs/ may have. */
const mostWords = 22_000

/** The most lines of the README. */
const mostLines = 120

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Words have a letter or a digit; the bars of tables are none. */
const wordsOf = (text: string): number => text.split(/\s+/).filter(word => /[\p{L}\d]/u.test(word)).length

t.test(`all pages of docs/ have ${mostWords} words at most`, async t => {
  const counts = pages
    .filter(page => page.startsWith('docs/'))
    .map(page => ({ page, words: wordsOf(read(page)) }))
    .toSorted((a, b) => b.words - a.words)
  const total = counts.reduce((sum, { words }) => sum + words, 0)
  t.ok(total > 10_000, 'they were found')
  t.ok(total <= mostWords, `${total} words, most of them in ${JSON.stringify(counts.slice(0, 5))}`)
})

t.test(`the README has ${mostLines} lines at most`, async t => {
  t.ok(read('README.md').split('\n').length <= mostLines)
})
