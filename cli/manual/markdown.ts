/** The reference of all subcommands, as docs/cli.md has it: made from what the help says. */
import type { Command } from '../../node/command/command'
import { optionFlags, optionText, synopsisOf } from '../../node/command/help'
import { optionName } from '../../node/command/option'
import { placeOptions } from '../../node/command/places'
import { networkOptions } from '../../node/conflist/kubelet-flags'

/** Text in a cell of a table. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')

const table = (titles: readonly [string, string], rows: readonly (readonly [string, string])[]): string =>
  rows.length === 0
    ? ''
    : `| ${titles.join(' | ')} |\n|---|---|\n${rows.map(([name, text]) => `| \`${name.replaceAll('|', '\\|')}\` | ${cell(text)} |\n`).join('')}\n`

const optionNames = (options: object): string[] => Object.keys(options).map(key => `--${optionName(key)}`)

/** Options of most commands, which the page describes once. */
const shared: readonly string[] = ['--json', ...optionNames(placeOptions)]

/** The options of a network, described with `kubenet config`. */
const ofConfig: readonly string[] = optionNames(networkOptions)

const isListed = (command: string, option: string): boolean =>
  !shared.includes(option) && (command === 'config' || option === '--pod-cidr' || !ofConfig.includes(option))

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
      options
        .filter(option => isListed(name, option.name))
        .map(option => [optionFlags(option), optionText(option)]),
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
