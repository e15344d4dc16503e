/** docs/cli.md: what it says of a command is what the command's help says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commands } from '../../../cli/commands'
import { formatCommandMarkdown } from '../../../cli/manual'
import { exitCodes, optionFlags, variables } from '../../../node/command/help'

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
