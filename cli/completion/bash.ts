import type { Command } from '../../node/command/command'
import type { Completes, NamedOption } from '../../node/command/option'

/** A word of the script. What the tree has in names and choices needs no more than this. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const words = (list: readonly string[]): string => `_kubenet_words ${quote(list.join(' '))}`

/** The completion of a value, as a command of the script. */
const completer = (completes: Completes | undefined): string => {
  switch (completes) {
    case undefined:
      return ':'
    case 'file':
      return '_kubenet_files -f'
    case 'folder':
      return '_kubenet_files -d'
    case 'netns':
      return '_kubenet_netns'
    case 'network':
      return '_kubenet_words "$(kubenet networks --names 2>/dev/null)"'
    default:
      return words(completes)
  }
}

/** The names an option can be given by. */
const namesOf = ({ name, short, kind }: NamedOption): string[] => [
  name,
  ...(kind === 'switch' ? [name.replace('--', '--no-')] : []),
  ...(short ? [`-${short}`] : []),
]

const hasValue = ({ kind }: NamedOption): boolean => kind === 'value'

const valueNames = (commands: readonly Command[]): string[] => [
  ...new Set(commands.flatMap(({ options }) => options.filter(hasValue).flatMap(namesOf))),
]

const valueCases = ({ name, options }: Command): string[] =>
  options.filter(hasValue).map(option => {
    const patterns = namesOf(option).map(given => `${name}/${given}`)
    return `    ${patterns.join(' | ')}) ${completer(option.completes)}; return ;;`
  })

const optionCase = ({ name, options }: Command): string =>
  `      ${name}) ${words([...options.flatMap(namesOf), '--help'])} ;;`

const argumentCases = ({ name, args }: Command): string[] =>
  args.map(({ completes }, i) => `    ${name}/${i}) ${completer(completes)} ;;`)

const helpers = `_kubenet_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_kubenet_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}

_kubenet_netns() {
  if [[ -z $current ]]; then
    local paths=(/run/netns/*)
    [[ -e \${paths[0]} ]] && _kubenet_words "\${paths[*]}" && return
  fi
  _kubenet_files -f
}
`

/** The completion for bash 4 and newer, which needs nothing but bash. */
export const formatBashCompletion = (commands: readonly Command[]): string => `# bash completion for kubenet
# in this shell: source <(kubenet completion bash)

${helpers}
_kubenet() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' count=0 i
  COMPREPLY=()
  # bash makes three words of --option=value.
  if [[ $current == = ]]; then
    current=''
  elif [[ $before == = ]]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${valueNames(commands).join(' | ')})
        [[ \${COMP_WORDS[i + 1]} == = ]] && ((i++))
        ((i++))
        ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=\${COMP_WORDS[i]}; else ((count++)); fi ;;
    esac
  done
  case $command/$before in
${commands.flatMap(valueCases).join('\n')}
  esac
  if [[ $current == -* ]]; then
    case $command in
      '') ${words(['--help', '--version'])} ;;
${commands.map(optionCase).join('\n')}
    esac
    return
  fi
  case $command/$count in
    /0) ${words(commands.map(({ name }) => name))} ;;
    help/0) ${words(commands.map(({ name }) => name))} ;;
${commands.flatMap(argumentCases).join('\n')}
  esac
}

complete -F _kubenet kubenet
`
