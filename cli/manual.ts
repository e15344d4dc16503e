/** The commands that explain all others: `help`, and `man`, whose page is in roff or Markdown. */
import { type Command, command, optional } from '../node/command/command'
import { usageError } from '../node/command/failure'
import {
  exitCodes,
  formatCommandHelp,
  formatHelp,
  optionFlags,
  optionText,
  synopsisOf,
  variables,
} from '../node/command/help'
import { flag, type NamedOption, optionName } from '../node/command/option'
import { placeOptions } from '../node/command/places'
import { networkOptions } from '../node/conflist/kubelet-flags'
import { version } from '../src/build-info'

/** The subcommand `help`; `tree` answers all subcommands, of which it is one. */
export const helpCommand = (tree: () => readonly Command[]): Command =>
  command({
    name: 'help',
    group: 'This program',
    summary: 'explain a command',
    args: { command: optional('the command') },
    examples: [{ line: 'kubenet help gc', does: 'explain gc and its options' }],
    run: ({ args }) => {
      const commands = tree()
      const found = commands.find(({ name }) => name === args.command)
      if (args.command !== undefined && !found) {
        throw usageError(`unknown command ${JSON.stringify(args.command)}`, '"kubenet help" lists them')
      }
      const shown = found ? [found] : commands.filter(({ hidden }) => !hidden)
      return {
        json: { commands: shown.map(describe) },
        text: style => (found ? formatCommandHelp(found, style) : formatHelp(commands, style)),
      }
    },
  })

const describe = ({ name, group, summary, about, args, options, examples }: Command) => ({
  name,
  group,
  summary,
  about,
  args: args.map(({ name: arg, required, summary: does }) => ({ name: arg, required, summary: does })),
  options: options.map(({ name: option, short, placeholder, summary: does, defaultText }) => ({
    name: option,
    ...(short && { short: `-${short}` }),
    ...(placeholder !== undefined && { value: placeholder }),
    ...(defaultText !== undefined && { default: defaultText }),
    summary: does,
  })),
  examples,
})

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

/** The reference of all subcommands except the hidden ones, as docs/cli.md has it: made from the texts of the help. */
const formatMarkdown = (commands: readonly Command[]): string =>
  commands
    .filter(({ hidden }) => !hidden)
    .map(formatCommandMarkdown)
    .join('\n')

/** A character that not every roff reads, by its number. */
const byNumber = (character: string): string =>
  `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`

/** Text that roff prints as it is: what it would read otherwise named, no line that begins like a request. */
const roffText = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1')
    .replace(/[^ -~\n]/gu, byNumber)

const bold = (text: string): string => `.B ${roffText(text)}`

const item = (term: string, text: string): string[] => ['.TP', bold(term), roffText(text)]

const files: readonly (readonly [path: string, text: string])[] = [
  ['/etc/cni/net.d', 'the networks: .conflist, .conf and .json; the first in lexical order is the default'],
  ['/etc/cni/net.d/10-kubenet.conflist', 'what config --write and install --pod-cidr write'],
  ['/opt/cni/bin', 'the plugins'],
  ['/var/lib/cni/results', 'cached results, in the form of libcni'],
]

const optionItems = (options: readonly NamedOption[]): string[] =>
  options.flatMap(option => item(optionFlags(option), optionText(option)))

const exampleLines = ({ examples }: Command): string[] =>
  examples.flatMap(({ line, does }) => [
    '.PP',
    roffText(`${does}:`),
    '.PP',
    '.in +4n',
    '.nf',
    roffText(line),
    '.fi',
    '.in',
  ])

const commandLines = (command: Command): string[] => [
  `.SS ${roffText(command.name)}`,
  bold(synopsisOf(command)),
  '.PP',
  roffText(`${command.summary}.`),
  ...command.about.flatMap(text => ['.PP', roffText(text)]),
  ...command.args.flatMap(({ name, summary }) => item(`<${name}>`, summary)),
  ...optionItems(command.options),
  ...exampleLines(command),
]

/**
 * The manual page, in roff with the macros of man(7). The same program gives the same text: it has no date.
 */
export const formatManPage = (commands: readonly Command[]): string => {
  const shown = commands.filter(({ hidden }) => !hidden)
  return [
    `.TH KUBENET 8 "" "kubenet\\-cni ${version}" "System administration"`,
    '.SH NAME',
    "kubenet \\- the networks of a node's containers",
    '.SH SYNOPSIS',
    '.B kubenet',
    '.I command',
    '[options]',
    '.SH DESCRIPTION',
    "Installs CNI plugins, writes the network that kubelet's flags describe, prepares the node, and attaches and detaches",
    'network namespaces, as cnitool does. Called with CNI_COMMAND in its environment, the same program is',
    'the CNI plugin of that name.',
    '.SH COMMANDS',
    ...shown.flatMap(commandLines),
    '.SH EXIT STATUS',
    ...exitCodes.flatMap(([code, text]) => item(code, text)),
    '.SH ENVIRONMENT',
    ...variables.flatMap(([name, text]) => item(name, text)),
    '.SH FILES',
    ...files.flatMap(([path, text]) => item(path, text)),
  ]
    .map(line => `${line}\n`)
    .join('')
}

/** The subcommand `man`; `tree` answers all subcommands, of which it is one. */
export const manCommand = (tree: () => readonly Command[]): Command =>
  command({
    name: 'man',
    group: 'This program',
    summary: 'print the manual page, in roff',
    hidden: true,
    options: { markdown: flag('print the Markdown reference of docs/cli.md instead') },
    examples: [
      { line: 'kubenet man > /usr/local/share/man/man8/kubenet.8', does: 'install the manual page' },
    ],
    run: ({ options: { markdown } }) => {
      const page = markdown ? formatMarkdown(tree()) : formatManPage(tree())
      return { json: { page }, text: () => page }
    },
  })
