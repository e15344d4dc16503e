/**
 * The pages and the help are in plain words: textlint finds none of the words in .textlintrc.json, each of which has a
 * better one beside it, and no sentence begins with a clause as its subject ("What is missing is made").
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { agent } from '../../agent/command'
import { commands } from '../../cli/commands'
import { formatCommandMarkdown } from '../../cli/manual/markdown'
import { exitCodes, variables } from '../../node/command/help'
import { pages, root } from './fixtures/document'

/** Every help text, also of hidden commands, as one page. */
const help = [
  ...[...commands, agent].map(formatCommandMarkdown),
  ...[...exitCodes, ...variables].map(([, text]) => `${text.replace(/\{.*\}/, '`$&`')}\n`),
].join('\n')

const texts = [...pages, 'CHANGELOG.md'].map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))

/** The complaints of textlint, one a line. */
const textlint = (words: readonly string[], input = ''): Promise<string> =>
  new Promise(resolve => {
    const child = execFile(
      process.execPath,
      [join(root, 'node_modules/textlint/bin/textlint.js'), '--no-color', '--format', 'unix', ...words],
      { cwd: root },
      (_error, stdout, stderr) => resolve(stdout + stderr),
    )
    child.stdin?.end(input)
  })

t.test('textlint finds none of the words to avoid', async t => {
  t.equal(await textlint([...pages, 'CHANGELOG.md']), '')
})

t.test('nor in the help', async t => {
  t.equal(await textlint(['--stdin', '--stdin-filename', 'help.md'], help), '')
})

t.test('it does find them in a text that has some', async t => {
  const found = await textlint(
    ['--stdin', '--stdin-filename', 'help.md'],
    'A value that can not be is mended.\n',
  )
  t.match(found, 'use “cannot” instead')
  t.match(found, 'use “fixed” instead')
})

/** Sentences, cells of tables and headings, without blocks and code. */
const sentencesOf = (text: string): string[] =>
  text
    .replaceAll(/^```.*?^```$/gms, '\n\n')
    .replaceAll(/<!-- .*? -->/g, '')
    .replaceAll(/`[^`]*`/g, '`…`')
    .split(/\n\s*\n|\n(?=[-|#]|\d+\. )|\|/)
    .flatMap(part => part.replaceAll(/\s+/g, ' ').split(/(?<=[.?!:]) (?=[A-Z])/))
    .map(sentence => sentence.replace(/^[-#\d.*\s]+/, '').trim())

/** A question, or a clause that is no subject ("What the plugins promise" as a heading), is none. */
const clause = /^(What|Who|Whoever|Whatever|Whose|Whichever) (?!.*\?$).*[.;,]/

t.test('no sentence begins with a clause as its subject', async t => {
  for (const { path, text } of [...texts, { path: 'the help', text: help }]) {
    t.same(
      sentencesOf(text).filter(sentence => clause.test(sentence)),
      [],
      path,
    )
  }
})
