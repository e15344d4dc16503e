/** Options of subcommands, described once: the parser, the help, the man page and the completions read the same. */
import { CliError, usageError } from './failure'

/** The words that a shell offers for a value: files, folders, the node's networks, or one of these words. */
export type Completes = 'file' | 'folder' | 'network' | 'netns' | readonly string[]

/** An option and how its value is read. Its name is its key in the command's `options`: `binDir` is --bin-dir. */
export type Option<T> = {
  readonly summary: string
  /** A flag stands alone; a switch has its opposite in --no-NAME; a denial is only there as --no-NAME. */
  readonly kind: 'flag' | 'switch' | 'denial' | 'value'
  /** The placeholder for the value in a synopsis: "folder". */
  readonly placeholder?: string
  /** Its one-letter form. */
  readonly short?: string
  /** The default, as the help says it. */
  readonly defaultText?: string
  readonly completes?: Completes
  /** Reads what was given, in its order; nothing if it was not. `name` is "--bin-dir". Throws a usage error. */
  read(given: readonly string[], name: string): T
}

/** An option as its command has it. */
export type NamedOption = Option<unknown> & { readonly key: string; readonly name: string }

/** The name of an option without dashes: "bin-dir" of `binDir`. */
export const optionName = (key: string): string => key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)

/** True if it is given. */
export const flag = (summary: string): Option<boolean> => ({
  summary,
  kind: 'flag',
  read: given => given.length > 0,
})

/** True if given, false if given with "no-", undefined otherwise. */
export const toggle = (summary: string): Option<boolean | undefined> => ({
  summary,
  kind: 'switch',
  read: given => (given.length > 0 ? given.at(-1) === 'true' : undefined),
})

/** --no-NAME: true unless it is given. */
export const denial = (summary: string): Option<boolean> => ({
  summary,
  kind: 'denial',
  read: given => given.length === 0,
})

/** The properties of an option with a value beside its summary. */
type ValueDetails = Pick<Option<unknown>, 'short' | 'completes'>

/** Reads one text as a value. Throws a usage error, which need not name the option. */
type Parse<T> = (text: string) => T

/** Runs `read`; what it throws becomes a usage error that begins with the name of what was read. */
export const naming = <T>(name: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    throw usageError(`${name}: ${error.message}`, error instanceof CliError ? error.remedy : '')
  }
}

const lastOf = <T>(given: readonly string[], name: string, parse: Parse<T>): T | undefined => {
  const text = given.at(-1)
  return text === undefined ? undefined : naming(name, () => parse(text))
}

const asIs: Parse<string> = text => text

/** An option with a value; the last one given counts. */
export const value = <T = string>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
  details: ValueDetails = {},
): Option<T | undefined> => ({
  summary,
  kind: 'value',
  placeholder,
  ...details,
  read: (given, name) => lastOf(given, name, parse),
})

/** An option with any text for its value. */
export const text = (placeholder: string, summary: string, details?: ValueDetails) =>
  value(placeholder, summary, asIs, details)

/** The same option with a default, which is read like a value that was given. */
export const withDefault = <T>(option: Option<T | undefined>, defaultText: string): Option<T> => ({
  ...option,
  defaultText,
  read: (given, name) => {
    const answer = option.read(given.length > 0 ? given : [defaultText], name)
    if (answer === undefined) throw new Error(`${name} reads no value from its default`)
    return answer
  },
})

/** An option with one of some words for its value. */
export const choice = <T extends string>(
  placeholder: string,
  summary: string,
  choices: readonly T[],
): Option<T | undefined> =>
  value(
    placeholder,
    summary,
    given => {
      const found = choices.find(word => word === given)
      if (found !== undefined) return found
      throw usageError(`${JSON.stringify(given)} is none of ${choices.join(', ')}`)
    },
    { completes: choices },
  )

/** An option that may be given several times, or with several values divided by commas. */
export const list = <T>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
  details: ValueDetails = {},
): Option<readonly T[]> => ({
  summary,
  kind: 'value',
  placeholder: `${placeholder}[,...]`,
  ...details,
  read: (given, name) => {
    const texts = given.flatMap(part => part.split(',')).map(part => part.trim())
    return naming(name, () => texts.filter(part => part !== '').map(parse))
  },
})

/** Texts for `list`, as they are. */
export const listOfTexts = (placeholder: string, summary: string, details?: ValueDetails) =>
  list(placeholder, summary, asIs, details)
