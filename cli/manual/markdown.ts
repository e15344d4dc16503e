/** The reference of all subcommands, as docs/cli.md has it: made from what the help says. */
import type { Command } from '../../node/command/command'
import { optionFlags, optionText, synopsisOf } from '../../node/command/help'

/** Text in a cell of a table. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')

const table = (titles: readonly [string, string], rows: readonly (readonly [string, string])[]): string =>
  rows.length === 0
    ? ''
    : `| ${titles.join(' | ')} |\n|---|---|\n${rows.map(([name, text]) => `| \`${name.replaceAll('|', '\\|')}\` | ${cell(text)} |\n`).join('')}\n`

/** One subcommand: synopsis, arguments, options, examples. */
export const formatCommandMarkdown = (command: Command): string => {
  const { name, summary, about, args, options, examples } = command
  return [
    `### kubenet ${name}\n\n`,
    `\`${synopsisOf(command)}\`: ${summary.replaceAll('<', '&lt;')}.\n\n`,
    ...about.map(text => `${text.replaceAll('<', '&lt;')}\n\n`),
    table(
      ['argument', ''],
      args.map(arg => [arg.required ? `<${arg.name}>` : `[${arg.name}]`, arg.summary]),
    ),
    table(
      ['option', ''],
      options.map(option => [optionFlags(option), optionText(option)]),
    ),
    '```sh\n',
    ...examples.map(({ line, does }) => `${line}   # ${does}\n`),
    '```\n',
  ].join('')
}

/** All subcommands but the hidden ones. */
export const formatMarkdown = (commands: readonly Command[]): string =>
  commands
    .filter(({ hidden }) => !hidden)
    .map(formatCommandMarkdown)
    .join('\n')
