/** All that the command line has of the world: a test puts its own in the place of the process. */
export type CliIo = {
  /** Prints on standard output. */
  stdout(text: string): void
  /** Prints on standard error: failures, warnings, progress. */
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
  /** The names this program goes by: what `install` puts in place. */
  readonly programs: readonly string[]
  /** The file that is the plugins, under whichever of those names. */
  readonly programPath: string
  /** The file that is the command line: it goes beside them. */
  readonly commandPath: string
  /** What the plugin of this name says when nobody calls it: its version and those of CNI it speaks. */
  introduction(): Promise<string>
}
