/** From the words of a command line to a subcommand and what it was given. The splitting is commander's. */
import { CommanderError, Command as Parser, Option as ParserOption } from 'commander'
import { type Command, callOf, type Given } from './command'
import { type CliError, usageError } from './failure'
import type { NamedOption } from './option'

/** The request of a command line. */
type Parsed =
  | { readonly kind: 'run'; readonly command: Command; readonly given: Given }
  | { readonly kind: 'help'; readonly command: Command | undefined }
  | { readonly kind: 'version' }

/** An option as a synopsis has it: "-i, --ifname <name>". */
export const flagsOf = ({ name, short, placeholder }: NamedOption): string =>
  `${short ? `-${short}, ` : ''}${name}${placeholder === undefined ? '' : ` <${placeholder}>`}`

const collect = (text: string, before: unknown): string[] => [...(Array.isArray(before) ? before : []), text]

const addOption = (parser: Parser, option: NamedOption): void => {
  const parserOption = new ParserOption(flagsOf(option))
  if (option.kind === 'value') parserOption.argParser(collect)
  parser.addOption(parserOption)
  if (option.kind === 'switch') parser.addOption(new ParserOption(option.name.replace('--', '--no-')))
}

const textsOf = (found: unknown): string[] => {
  if (Array.isArray(found)) return found.map(String)
  return found === undefined ? [] : [String(found)]
}

const givenTo = (parser: Parser, { options, args }: Command): Given => ({
  args: args.map((_, i) => parser.processedArgs[i]).filter(arg => typeof arg === 'string'),
  options: new Map(
    options
      .filter(({ key }) => parser.getOptionValueSource(key) === 'cli')
      .map(({ key }) => [key, textsOf(parser.getOptionValue(key))]),
  ),
})

/** "error: unknown option '--foo'\n(Did you mean --for?)" as one of our lines. */
const usageErrorOf = (error: CommanderError, command: Command | undefined): CliError => {
  const [first = '', ...hints] = error.message
    .replace(/^error: /, '')
    .replace(/\.$/, '')
    .split('\n')
  const hint = hints.join(' ').replace('(Did', '(did')
  const help = `see "${command ? callOf(command) : 'kubenet'} --help"`
  return usageError([first, hint].filter(Boolean).join(' '), help)
}

const quiet = { writeOut: () => {}, writeErr: () => {}, outputError: () => {} }

const parserFor = (name: string): Parser =>
  new Parser(name).exitOverride().configureOutput(quiet).helpCommand(false).helpOption(false)

const isHelp = (word: string): boolean => word === '-h' || word === '--help'
const isVersion = (word: string): boolean => word === '-V' || word === '--version'

/** The words before "--", which alone may be options. */
const wordsOf = (argv: readonly string[]): readonly string[] =>
  argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv

/** The subcommand a command line names, whatever else is wrong with it. */
export const commandOf = (commands: readonly Command[], argv: readonly string[]): Command | undefined => {
  const name = wordsOf(argv).find(word => !word.startsWith('-'))
  return commands.find(command => command.name === name)
}

/** Has a parser fill in what its command was given. */
const expect = (parser: Parser, command: Command, take: (given: Given) => void): Parser => {
  for (const { name, required } of command.args) parser.argument(required ? `<${name}>` : `[${name}]`)
  for (const option of command.options) addOption(parser, option)
  return parser.action(() => take(givenTo(parser, command)))
}

const parse = (parser: Parser, argv: readonly string[], named: Command | undefined): void => {
  try {
    parser.parse([...argv], { from: 'user' })
  } catch (error) {
    throw error instanceof CommanderError ? usageErrorOf(error, named) : error
  }
}

/** Reads the command line of a program that is one command. Throws a usage error. */
export const parseAlone = (command: Command, argv: readonly string[]): Parsed => {
  if (wordsOf(argv).some(isHelp)) return { kind: 'help', command }
  if (wordsOf(argv).some(isVersion)) return { kind: 'version' }
  let given: Given | undefined
  const parser = expect(parserFor(command.name), command, answer => {
    given = answer
  })
  parse(parser.allowExcessArguments(false), argv, command)
  return given ? { kind: 'run', command, given } : { kind: 'help', command }
}

/** Reads a command line of kubenet, without the program's name. Throws a usage error. */
export const parseCommandLine = (commands: readonly Command[], argv: readonly string[]): Parsed => {
  const named = commandOf(commands, argv)
  if (named?.passesOn && argv[0] === named.name)
    return { kind: 'run', command: named, given: { args: argv.slice(1), options: new Map() } }
  if (argv.length === 0 || wordsOf(argv).some(isHelp)) return { kind: 'help', command: named }
  if (!named && argv.some(isVersion)) return { kind: 'version' }
  let given: Given | undefined
  const program = parserFor('kubenet')
  for (const command of commands) {
    const parser = parserFor(command.name)
    // The others are there to be suggested for a name that is misspelt.
    if (command === named)
      expect(parser, command, answer => {
        given = answer
      })
    program.addCommand(parser, { hidden: command.hidden })
  }
  parse(program, argv, named)
  return named && given ? { kind: 'run', command: named, given } : { kind: 'help', command: undefined }
}
