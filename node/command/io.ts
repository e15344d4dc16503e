import { isatty } from 'node:tty'
import { platform } from '#platform'
import { errnoOf } from '../../src/host/errno'
import { printableLines, writeAll } from '../../src/host/output'
import { rendered } from './style'

/** All that a command has of the world: a test puts its own in the place of the process. */
export type CliIo = {
  /** Prints on standard output, what is styled in it as a terminal wants it and what is foreign escaped. */
  stdout(text: string): void
  /** Prints on standard error, what is foreign escaped: failures, warnings, progress. */
  stderr(text: string): void
  /** Is standard output a terminal? */
  readonly isTerminal: boolean
  /** Is standard error one? Progress is printed only for a person who waits. */
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

const defaultColumns = 80

/**
 * A command's world as this process has it; `programs` are the names that the program goes by. All that is printed for
 * people goes out here, so here foreign words lose what would control a terminal; JSON keeps its value.
 */
export const processIo = (programs: readonly string[]): CliIo => {
  const isTerminal = isatty(1)
  return {
    stdout: text => {
      try {
        writeAll(1, rendered(text))
      } catch (error) {
        // "kubenet inspect | head": the reader has closed the pipe.
        if (errnoOf(error) !== 'EPIPE') throw error
      }
    },
    stderr: text => {
      try {
        writeAll(2, printableLines(text))
      } catch {
        // There is nowhere left to say it.
      }
    },
    isTerminal,
    isErrorTerminal: isatty(2),
    // Setting up the stream is slow, so it is not asked unless there is a terminal.
    columns: (isTerminal && process.stdout.columns) || defaultColumns,
    env: process.env,
    cwd: process.cwd(),
    programs,
    programPath: platform.programPath,
  }
}
