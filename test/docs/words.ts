/**
 * The pages and the help are in plain words: textlint finds none of the words in .textlintrc.json, each of which has a
 * better one beside it. No sentence is long, or begins with a clause as its subject ("What is missing is made").
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { agent } from '../../agent/command'
import { commands } from '../../cli/commands'
import { formatCommandMarkdown } from '../../cli/manual'
import { exitCodes, variables } from '../../node/command/help'
import { pages, root } from './fixtures/document'

/** Every help text, also of hidden commands, as one page. */
const help = [
  ...[...commands, agent].map(formatCommandMarkdown),
  ...[...exitCodes, ...variables].map(([, text]) => `${text.replace(/\{.*\}/, '`$&`')}\n`),
].join('\n')

const texts = [...pages, 'CHANGELOG.md'].map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))

const config = join(root, '.textlintrc.json')

/** The linter in this process, loaded for the first text that needs it. */
const loadLinter = async () => {
  const { createLinter, loadTextlintrc } = await import('textlint')
  return createLinter({ descriptor: await loadTextlintrc({ configFilePath: config }), cwd: root })
}
let linter: ReturnType<typeof loadLinter> | undefined

/** Empty files named after texts without complaints: a text that has not changed is not parsed again. */
const clean = join(root, 'dist-test/clean-texts')
mkdirSync(clean, { recursive: true })
const rules = `${readFileSync(config, 'utf8')}${readFileSync(join(root, 'package-lock.json'), 'utf8')}`

/** The complaints of textlint about a text, one a line. */
const complaints = async (text: string, path: string): Promise<string> => {
  const mark = join(clean, createHash('sha256').update(rules).update(text).digest('hex'))
  if (existsSync(mark)) return ''
  linter ??= loadLinter()
  const { messages } = await (await linter).lintText(text, join(root, path))
  if (messages.length === 0) writeFileSync(mark, '')
  return messages.map(({ line, message }) => `${path}:${line}: ${message}`).join('\n')
}

t.test('textlint finds none of the words to avoid', async t => {
  for (const { path, text } of texts) t.equal(await complaints(text, path), '')
})

t.test('nor in the help', async t => {
  t.equal(await complaints(help, 'help.md'), '')
})

t.test('it does find them in a text that has some', async t => {
  const found = await complaints('A value that can not be is mended.\n', 'help.md')
  t.match(found, 'use “cannot” instead')
  t.match(found, 'use “fixed” instead')
})

/** Sentences, cells of tables and headings, without blocks and code. */
const sentencesOf = (text: string): string[] =>
  text
    .replaceAll(/^```.*?^```$/gms, '\n\n')
    .replaceAll(/<!-- .*? -->/g, '')
    .replaceAll(/`[^`]*`/g, '`…`')
    .replaceAll(/\]\([^)]*\)/g, ']')
    .split(/\n\s*\n|\n(?=[-|#]|\d+\. )|\|/)
    .flatMap(part => part.replaceAll(/\s+/g, ' ').split(/(?<=[.?!:]) (?=[A-Z])/))
    .map(sentence => sentence.replace(/^[-#\d.*\s]+/, '').trim())

/** A question, or a clause that is no subject ("What the plugins promise" as a heading), is none. */
const clause = /^(What|Who|Whoever|Whatever|Whose|Whichever) (?!.*\?$).*[.;,]/

/** The most words between two of ".", ":" and ";": a sentence that is read once. */
const mostWords = 25

const countWords = (text: string): number => text.split(' ').filter(word => /[\p{L}\d]/u.test(word)).length

t.test(`no sentence has more than ${mostWords} words`, async t => {
  for (const { path, text } of [...texts, { path: 'the help', text: help }]) {
    const clauses = sentencesOf(text).flatMap(sentence => sentence.split(/(?<=[.?!:;]) /))
    t.same(
      clauses.filter(sentence => countWords(sentence) > mostWords),
      [],
      path,
    )
  }
})

t.test('no sentence begins with a clause as its subject', async t => {
  for (const { path, text } of [...texts, { path: 'the help', text: help }]) {
    t.same(
      sentencesOf(text).filter(sentence => clause.test(sentence)),
      [],
      path,
    )
  }
})
