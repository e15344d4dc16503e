import type { Command } from '../../node/command/command'
import { optionText } from '../../node/command/help'
import type { Completes, NamedOption } from '../../node/command/option'

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

/** The candidates for a value, as arguments of `complete`. */
const candidates = (completes: Completes | undefined): string => {
  switch (completes) {
    case undefined:
      return ''
    case 'file':
      return '-F'
    case 'folder':
      return "-a '(__fish_complete_directories)'"
    case 'netns':
      return "-F -a '/run/netns/*'"
    case 'network':
      return "-a '(kubenet networks --names 2>/dev/null)'"
    default:
      return `-a ${quote(completes.join(' '))}`
  }
}

const line = (condition: string, ...parts: readonly string[]): string =>
  ['complete -c kubenet', `-n ${quote(condition)}`, ...parts.filter(Boolean)].join(' ')

const optionLines = (option: NamedOption, condition: string): string[] => {
  const { name, short, kind, completes } = option
  const names = kind === 'switch' ? [name, name.replace('--', '--no-')] : [name]
  const value = kind === 'value' ? `${completes === 'file' ? '-r' : '-x'} ${candidates(completes)}` : ''
  return names.map(given =>
    line(
      condition,
      short ? `-s ${short}` : '',
      `-l ${given.slice(2)}`,
      value.trim(),
      `-d ${quote(optionText(option))}`,
    ),
  )
}

const commandLines = ({ name, options, args }: Command): string[] => {
  const condition = `__fish_seen_subcommand_from ${name}`
  return [
    ...options.flatMap(option => optionLines(option, condition)),
    ...args.flatMap(({ completes, summary }) =>
      completes ? [line(condition, candidates(completes), `-d ${quote(summary)}`)] : [],
    ),
  ]
}

/** The completion for fish. */
export const formatFishCompletion = (commands: readonly Command[]): string => {
  const names = commands.map(({ name }) => name)
  return [
    '# fish completion for kubenet',
    '# in this shell: kubenet completion fish | source',
    'complete -c kubenet -f',
    "complete -c kubenet -s h -l help -d 'print help'",
    ...commands.map(({ name, summary }) =>
      line('__fish_use_subcommand', `-a ${name}`, `-d ${quote(summary)}`),
    ),
    line('__fish_seen_subcommand_from help', `-a ${quote(names.join(' '))}`),
    ...commands.flatMap(commandLines),
  ]
    .map(text => `${text}\n`)
    .join('')
}
