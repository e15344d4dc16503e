/** All that a command has of the world: a test puts its own in the place of the process. */
export type CliIo = {
  /** Prints on standard output, what is styled in it as a terminal wants it and what is foreign escaped. */
  stdout(text: string): void
  /** Prints on standard error, what is foreign escaped: failures, warnings, progress. */
  stderr(text: string): void
  /** Is standard output a terminal? */
  readonly isTerminal: boolean
  /** Is standard error one? What goes on is only said to somebody who waits. */
  readonly isErrorTerminal: boolean
  /** The terminal's width in characters. */
  readonly columns: number
  readonly env: Readonly<Record<string, string | undefined>>
  /** The working folder, which relative paths start from. */
  readonly cwd: string
  /** The names this program goes by: of kubenet, those of all plugins. */
  readonly programs: readonly string[]
  /** The file that is this program, under whichever of those names. */
  readonly programPath: string
}
