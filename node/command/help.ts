import { version as buildVersion } from '../../src/build-info'
import { type Command, callOf, groups } from './command'
import type { NamedOption } from './option'
import { flagsOf } from './parse'
import { type Style, visibleLength, wrap } from './style'

/** Lines are no longer than this, however wide the terminal is. */
const widest = 100

const widthOf = (style: Style): number => Math.min(style.width, widest)

type Entry = readonly [term: string, text: string]

/** Terms in one column, what they mean in the next. */
const formatEntries = (entries: readonly Entry[], style: Style): string => {
  const column = Math.max(...entries.map(([term]) => visibleLength(term))) + 4
  return entries
    .map(([term, text]) => {
      const lines = wrap(text, Math.max(20, widthOf(style) - column)).split('\n')
      const [first = '', ...rest] = lines
      const start = `  ${term}`
      const blanks = ' '.repeat(Math.max(1, column - visibleLength(start)))
      return [start + blanks + first, ...rest.map(line => ' '.repeat(column) + line)].join('\n')
    })
    .map(lines => `${lines}\n`)
    .join('')
}

/** An argument as a synopsis has it: "<network>", "[netns]". */
const argumentText = ({ name, required }: Command['args'][number]): string =>
  required ? `<${name}>` : `[${name}]`

/** "kubenet add <network> <netns> [options]" */
export const synopsisOf = (command: Command): string =>
  [callOf(command), ...command.args.map(argumentText), '[options]'].join(' ')

/** The purpose of an option, its words, and its default. */
export const optionText = ({ summary, defaultText, completes, kind }: NamedOption): string => {
  const words = Array.isArray(completes) && kind === 'value' ? `one of ${completes.join(', ')}` : ''
  const aside = [words, defaultText === undefined ? '' : `default: ${defaultText}`].filter(Boolean).join('; ')
  return aside ? `${summary} (${aside})` : summary
}

/** The meaning of the exit codes of all subcommands. */
export const exitCodes: readonly Entry[] = [
  ['0', 'success: everything checked is in order'],
  ['1', 'the command failed, or found a fault'],
  ['2', 'unknown command or option, or an invalid value'],
  ['3', 'the network, namespace, plugin, address or container does not exist'],
  ['4', 'not permitted: run it as root'],
]

/** The variables that subcommands read. */
export const variables: readonly Entry[] = [
  ['CNI_PATH', 'folders of plugins, in order; default /opt/cni/bin'],
  ['NETCONFPATH', 'folder of the networks; default /etc/cni/net.d'],
  ['CNI_IFNAME', 'name of the interface in the container; default eth0'],
  ['CNI_ARGS', 'arguments for the plugins: "K=V;K=V"'],
  [
    'CAP_ARGS',
    'capability arguments, a JSON object: {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}',
  ],
  ['NO_COLOR', 'no colours'],
]

/** The help of the program. */
export const formatHelp = (commands: readonly Command[], style: Style): string => {
  const shown = commands.filter(({ hidden }) => !hidden)
  const sections = groups.map(group => {
    const entries = shown
      .filter(command => command.group === group)
      .map(({ name, summary }): Entry => [name, summary])
    return entries.length === 0 ? '' : `${style.bold(group)}\n${formatEntries(entries, style)}\n`
  })
  return [
    `kubenet ${buildVersion}: the networks of a node's containers\n\n`,
    `${style.bold('Usage')}\n  kubenet <command> [options]\n\n`,
    ...sections,
    `"kubenet help <command>" explains one. With CNI_COMMAND set, this program is a CNI plugin.\n`,
  ].join('')
}

const formatExamples = ({ examples }: Command, style: Style): string =>
  examples.map(({ line, does }) => `  ${style.dim(`# ${does}`)}\n  ${line}\n`).join('')

/** The help of one subcommand. */
export const formatCommandHelp = (command: Command, style: Style): string => {
  const { name, summary, about, args, options } = command
  const entries = (list: readonly Entry[]) => formatEntries(list, style)
  const paragraphs = about.map(text => `${wrap(text, widthOf(style))}\n\n`)
  return [
    `kubenet ${name}: ${summary}\n\n`,
    `${style.bold('Usage')}\n  ${synopsisOf(command)}\n\n`,
    ...paragraphs,
    args.length === 0
      ? ''
      : `${style.bold('Arguments')}\n${entries(args.map(arg => [argumentText(arg), arg.summary]))}\n`,
    `${style.bold('Options')}\n${entries([...options.map((option): Entry => [optionFlags(option), optionText(option)]), helpEntry])}\n`,
    `${style.bold('Examples')}\n${formatExamples(command, style)}\n`,
    `${style.bold('Exit codes')}\n${entries(exitCodes)}`,
  ].join('')
}

const helpEntry: Entry = ['-h, --help', 'print this']

/** "--dry-run, --no-dry-run" for a switch. */
export const optionFlags = (option: NamedOption): string =>
  option.kind === 'switch' ? `${flagsOf(option)}, ${option.name.replace('--', '--no-')}` : flagsOf(option)
