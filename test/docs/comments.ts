/**
 * Comments, messages and test titles of the code are in plain words as the pages are: none of the words to avoid, each
 * of which has a better one beside it.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root } from './fixtures/document'

/** Words to avoid, and what to write for them. */
const vocabulary: readonly (readonly [avoid: RegExp, write: string])[] = [
  [/\bcan not\b/i, 'cannot'],
  [/\b(is|are) told\b|\btold of\b/i, 'the actor: "the log names it", "gets", "is passed to"'],
  [/\bis said\b/i, 'who says it: "the message names …"'],
  [/\b(takes?|taken) (away|back)\b/i, 'remove, undo, reclaim'],
  [/\bpass(es|ed)? over\b/i, 'skip'],
  [/\bmend(s|ed|ing|ings)?\b/i, 'repair, fix'],
  [/\bputs? right\b/i, 'repair'],
  [/\bbut for\b/i, 'except'],
  [/\bfor lack of\b/i, 'without'],
  [/\b(?<!user )(nobody|somebody|anybody|everybody|whoever)\b/i, 'the process, program or client'],
  [/\banew\b/i, 'again'],
  [/\bof its own accord\b/i, 'itself'],
  [/\bthe least\b/i, 'the smallest'],
  [/\b(be|is|are) let in\b/i, 'is authenticated, is accepted'],
]

/** Comments and texts in quotes; a text of one word is a name. */
const tokens = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\\n])*`/g

/** The complaints about a source: its line, the word, and the better one. */
const complaints = (path: string, source: string): string[] =>
  [...source.matchAll(tokens)].flatMap(({ 0: token, index }) => {
    const text = token.replaceAll(/\n\s*\*?/g, ' ')
    if (!/\S\s+\S/.test(text)) return []
    return vocabulary.flatMap(([avoid, write]) => {
      const found = avoid.exec(text)
      const line = source.slice(0, index).split('\n').length
      return found ? [`${path}:${line}: "${found[0]}": write ${write}`] : []
    })
  })

const sources = execFileSync('git', ['ls-files', '-z', '--', '*.ts', '*.mjs'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\0')
  .filter(path => path !== '' && !path.startsWith('test/docs/'))

t.test('no comment, message or title has a word to avoid', async t => {
  t.ok(sources.length > 500, 'the sources were found')
  t.same(
    sources.flatMap(path => complaints(path, readFileSync(join(root, path), 'utf8'))),
    [],
  )
})

t.test('a comment or a message that has one is found', async t => {
  t.match(complaints('a.ts', "// Nobody waits.\nthrow new Error('it can not be mended')\n"), [
    /^a\.ts:1: "Nobody"/,
    /^a\.ts:2: "can not"/,
    /^a\.ts:2: "mended"/,
  ])
})

t.test('names and texts of one word are not judged', async t => {
  t.same(complaints('a.ts', "const nobody = 'nobody'\n"), [])
})
