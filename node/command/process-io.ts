import { isatty } from 'node:tty'
import { platform } from '#platform'
import { writeAll } from '../../src/cni/write-all'
import { errnoOf } from '../../src/host/errno'
import { printableLines } from '../../src/host/output'
import type { CliIo } from './io'
import { rendered } from './style'

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
        // "kubenet inspect | head": who has read enough wants no more.
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
