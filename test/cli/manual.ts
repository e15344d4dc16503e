import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commands } from '../../cli/commands'
import { formatCommandMarkdown, formatManPage } from '../../cli/manual'
import { exitCodes, optionFlags, variables } from '../../node/command/help'
import { cli } from './fixtures/cli'

const page = formatManPage(commands)

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined

t.test('the page has every command with its options, and no hidden one', async t => {
  for (const { name, hidden, options } of commands) {
    t.equal(page.includes(`\n.SS ${name}\n`), !hidden, name)
    for (const option of hidden ? [] : options)
      t.ok(page.includes(option.name.replaceAll('-', '\\-')), `${name} ${option.name}`)
  }
})

t.test('"kubenet man" prints it', async t => {
  t.equal((await cli(['man'])).stdout, page)
})

t.test('no line is taken for a request of roff that is none', async t => {
  const requests = new Set(
    page
      .split('\n')
      .filter(line => /^[.']/.test(line))
      .map(line => line.split(' ')[0]),
  )
  t.same([...requests].sort(), ['.B', '.I', '.PP', '.SH', '.SS', '.TH', '.TP', '.fi', '.in', '.nf'])
})

t.test('groff formats it without a warning', { skip: !has('groff') && 'no groff' }, async t => {
  const { stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-rLL=100n', '-P-cbou'], {
    input: page,
    encoding: 'utf8',
  })
  t.equal(stderr, '')
  t.match(stdout, /kubenet add <network> <netns> \[options\]/)
})

/** docs/cli.md: what it says of a command is what the command's help says. */

const root = [process.cwd(), join(__dirname, '../../..')].find(folder => {
  try {
    return readFileSync(join(folder, 'docs/cli.md'))
  } catch {
    return undefined
  }
})
const doc = readFileSync(join(root ?? '.', 'docs/cli.md'), 'utf8')

t.test('every command is there, as "kubenet man --markdown" prints it', async t => {
  for (const command of commands.filter(({ hidden }) => !hidden))
    t.ok(doc.includes(formatCommandMarkdown(command)), `${command.name}: write its part of docs/cli.md again`)
})

t.test('every option is there, also those that several commands have', async t => {
  for (const option of commands.filter(({ hidden }) => !hidden).flatMap(({ options }) => options))
    t.match(doc, `\`${optionFlags(option)}\``, option.name)
})

t.test('every exit code and every variable is there', async t => {
  for (const [code] of exitCodes) t.ok(doc.includes(`| ${code} |`), `exit code ${code}`)
  for (const [name] of variables) t.ok(doc.includes(`| \`${name}\` |`), name)
})
