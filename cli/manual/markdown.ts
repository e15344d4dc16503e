/** The reference of all subcommands, as docs/cli.md has it: made from what the help says. */
import type { Command } from '../../node/command/command'
import { optionFlags, optionText, synopsisOf } from '../../node/command/help'
import { optionName } from '../../node/command/option'
import { placeOptions } from '../../node/command/places'
import { networkOptions } from '../../node/conflist/kubelet-flags'

/** Text outside of code. */
const plain = (text: string): string => text.replaceAll('<', '&lt;')

type Entry = readonly [name: string, text: string]

/** Arguments or options, one a line. */
const list = (entries: readonly Entry[]): string =>
  entries.length === 0 ? '' : `${entries.map(([name, text]) => `- \`${name}\`: ${plain(text)}\n`).join('')}\n`

const optionNames = (options: object): string[] => Object.keys(options).map(key => `--${optionName(key)}`)

/** Options of most commands, which the page describes once. */
const shared: readonly string[] = ['--json', ...optionNames(placeOptions)]

/** The options of a network, described with `kubenet config`. */
const ofConfig: readonly string[] = optionNames(networkOptions)

/** Commands with the arguments and options of `kubenet add`. */
const likeAdd: readonly string[] = ['check', 'del']

const isListed = (command: string, option: string): boolean =>
  !shared.includes(option) && (command !== 'install' || option === '--pod-cidr' || !ofConfig.includes(option))

/** One subcommand: synopsis, arguments, options, examples. */
export const formatCommandMarkdown = (command: Command): string => {
  const { name, summary, about, args, options, examples } = command
  return [
    `### kubenet ${name}\n\n`,
    `\`${synopsisOf(command)}\`: ${plain(summary)}.\n\n`,
    ...about.map(text => `${plain(text)}\n\n`),
    likeAdd.includes(name)
      ? 'Arguments and options are those of [`kubenet add`](#kubenet-add).\n\n'
      : list([
          ...args.map((arg): Entry => [arg.required ? `<${arg.name}>` : `[${arg.name}]`, arg.summary]),
          ...options
            .filter(option => isListed(name, option.name))
            .map((option): Entry => [optionFlags(option), optionText(option)]),
        ]),
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
