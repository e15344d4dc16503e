/** The manual page, in roff with the macros of man(7): one page for the program and all its subcommands. */
import { type Command, command } from '../../node/command/command'
import { exitCodes, optionFlags, optionText, synopsisOf, variables } from '../../node/command/help'
import { flag, type NamedOption } from '../../node/command/option'
import { version } from '../../src/build-info'
import { formatMarkdown } from './markdown'

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

/** The page. The same program gives the same text: it has no date. */
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
