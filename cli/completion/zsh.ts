import type { Command } from '../../node/command/command'
import { optionText } from '../../node/command/help'
import type { Completes, NamedOption } from '../../node/command/option'

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Text inside of one of _arguments' specifications, where brackets and colons mean something. */
const specText = (text: string): string => text.replace(/[[\]:\\]/g, character => `\\${character}`)

/** The completion of a value, as _arguments has it. */
const action = (completes: Completes | undefined): string => {
  switch (completes) {
    case undefined:
      return ' '
    case 'file':
      return '_files'
    case 'folder':
      return '_files -/'
    case 'netns':
      return '_kubenet_netns'
    case 'network':
      return '_kubenet_networks'
    default:
      return `(${completes.join(' ')})`
  }
}

const optionSpecs = (option: NamedOption): string[] => {
  const { name, short, kind, placeholder = '', completes } = option
  const summary = `[${specText(optionText(option))}]`
  if (kind !== 'value') {
    const names = kind === 'switch' ? [name, name.replace('--', '--no-')] : [name]
    return names.map(given => quote(given + summary))
  }
  const value = `:${specText(placeholder)}:${action(completes)}`
  // A list may be given again.
  const again = placeholder.endsWith(']') ? '*' : ''
  const specs = [quote(`${again}${name}=${summary}${value}`)]
  return short ? [...specs, quote(`${again}-${short}+${summary}${value}`)] : specs
}

const commandCase = ({ name, options, args }: Command): string => {
  const specs = [
    ...options.flatMap(optionSpecs),
    quote('(- *)--help[print help]'),
    ...args.map(({ name: arg, required, completes }, i) =>
      quote(`${i + 1}${required ? '' : ':'}:${specText(arg)}:${action(completes)}`),
    ),
  ]
  return `        ${name})\n          _arguments \\\n            ${specs.join(' \\\n            ')}\n          ;;`
}

/** The completion for zsh. */
export const formatZshCompletion = (commands: readonly Command[]): string => `#compdef kubenet
# zsh completion for kubenet
# in this shell: source <(kubenet completion zsh)

_kubenet_networks() {
  local -a networks
  networks=(\${(f)"$(kubenet networks --names 2>/dev/null)"})
  compadd -a networks
}

_kubenet_netns() {
  local -a paths
  paths=(/run/netns/*(N))
  compadd -a paths
  _files
}

_kubenet_commands() {
  local -a commands
  commands=(
    ${commands.map(({ name, summary }) => quote(`${name}:${summary}`)).join('\n    ')}
  )
  _describe command commands
}

_kubenet() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C '(- *)'{-h,--help}'[print help]' '(- *)'{-V,--version}'[print the version]' \\
    '1: :_kubenet_commands' '*::argument:->argument'
  case $state in
    argument)
      case $words[1] in
        help) _kubenet_commands ;;
${commands
  .filter(({ name }) => name !== 'help')
  .map(commandCase)
  .join('\n')}
      esac
      ;;
  esac
}

if [[ $funcstack[1] == _kubenet ]]; then
  _kubenet "$@"
else
  compdef _kubenet kubenet
fi
`
