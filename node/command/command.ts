/**
 * Commands as data: what a person calls, with its options and arguments. Parsing, help, manual page, completions and
 * --json follow from the description.
 */
import type { ExitCode } from './failure'
import type { CliIo } from './io'
import { type Completes, flag, type NamedOption, type Option, optionName } from './option'
import type { Style } from './style'

/** An argument of a subcommand, by its place. */
type Argument<T extends string | undefined = string | undefined> = {
  readonly summary: string
  readonly required: T extends string ? true : false
  readonly completes?: Completes
}

export const required = (summary: string, completes?: Completes): Argument<string> => ({
  summary,
  required: true,
  ...(completes && { completes }),
})

export const optional = (summary: string, completes?: Completes): Argument<string | undefined> => ({
  summary,
  required: false,
  ...(completes && { completes }),
})

/** A command line that shows what a subcommand is for. */
type Example = { readonly line: string; readonly does: string }

/** The answer of a subcommand. Nothing but the frame prints it. */
export type Answer = {
  /** The output of --json: one object, described in docs/cli.md. */
  readonly json: object
  /** The output without --json, with the end of its last line. */
  text(style: Style): string
  /** Messages for standard error beside the answer: one line each. */
  readonly notes?: readonly string[]
  /** "done" if left out. */
  readonly exitCode?: ExitCode
}

type Options = Readonly<Record<string, Option<unknown>>>
type Arguments = Readonly<Record<string, Argument>>
type ValueOf<O> = O extends { read(given: readonly string[], name: string): infer T } ? T : never
type TextOf<A> = A extends { readonly required: true } ? string : string | undefined

/** One call of a subcommand, everything read and checked. */
export type CliCall<O extends Options = Options, A extends Arguments = Arguments> = {
  readonly options: { readonly [K in keyof O]: ValueOf<O[K]> }
  readonly args: { readonly [K in keyof A]: TextOf<A[K]> }
  readonly io: CliIo
}

/** The headings of the help, in their order. */
export const groups = ['Set up a node', 'Attach containers', 'Look at a node', 'This program'] as const

type Description<O extends Options, A extends Arguments> = {
  readonly name: string
  readonly group: (typeof groups)[number]
  /** One line for the list of commands: what it does, without a full stop. */
  readonly summary: string
  /** Paragraphs for its own help. */
  readonly about?: readonly string[]
  readonly args?: A
  readonly options?: O
  readonly examples: readonly Example[]
  /** Not in the list of commands. */
  readonly hidden?: boolean
  /** A program by itself, not a subcommand of kubenet. */
  readonly standsAlone?: boolean
  /** Answers, or prints by itself through `io` and answers with an exit code; throws what fails. */
  run(call: CliCall<O, A>): Promise<Answer | ExitCode> | Answer | ExitCode
}

/** One subcommand's part of the command line, as texts. */
export type Given = {
  readonly args: readonly string[]
  /** By the option's key. */
  readonly options: ReadonlyMap<string, readonly string[]>
}

/** A subcommand. */
export type Command = {
  readonly name: string
  readonly group: (typeof groups)[number]
  readonly summary: string
  readonly about: readonly string[]
  readonly args: readonly (Argument & { readonly name: string })[]
  readonly options: readonly NamedOption[]
  readonly examples: readonly Example[]
  readonly hidden: boolean
  readonly standsAlone: boolean
  /** Is what follows its name for another program, which alone knows its options? */
  readonly passesOn: boolean
  run(given: Given, io: CliIo): Promise<Answer | ExitCode>
}

/** Every subcommand has this one. */
const jsonOption = flag('print one JSON object instead of text')

/** Makes a subcommand of its description; what it is called with has the types that its options and arguments read. */
export const command = <O extends Options = Options, A extends Arguments = Arguments>(
  description: Description<O, A>,
): Command => {
  const { about = [], hidden = false, standsAlone = false } = description
  const args: Arguments = description.args ?? {}
  const options: Options = description.options ?? {}
  const named: NamedOption[] = Object.entries({ ...options, json: jsonOption }).map(([key, option]) => ({
    ...option,
    key,
    name: `--${option.kind === 'denial' ? 'no-' : ''}${optionName(key)}`,
  }))
  const argNames = Object.keys(args)
  return {
    ...description,
    about,
    hidden,
    standsAlone,
    passesOn: false,
    args: Object.entries(args).map(([name, argument]) => ({ name, ...argument })),
    options: named,
    run: async (given, io) => {
      const values = named.map(({ key, name, read }) => [key, read(given.options.get(key) ?? [], name)])
      const texts = argNames.map((name, i) => [name, given.args[i]])
      // The keys and the types are those of the description, which the mapped types say and fromEntries cannot.
      const call = { options: Object.fromEntries(values), args: Object.fromEntries(texts), io } as CliCall<
        O,
        A
      >
      return description.run(call)
    },
  }
}

/** The call of a command: "kubenet add". */
export const callOf = ({ name, standsAlone }: Pick<Command, 'name' | 'standsAlone'>): string =>
  standsAlone ? name : `kubenet ${name}`
