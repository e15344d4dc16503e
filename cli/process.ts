import { dirname, join } from 'node:path'
import { isatty } from 'node:tty'
import { platform } from '#platform'
import type { CliIo } from '../node/command/io'
import { errnoOf } from '../src/cni/error'
import type { BuiltIns } from '../src/cni/plugin'
import { answerCall } from '../src/cni/skel'
import { writeAll } from '../src/cni/write-all'
import { watchForInterrupts } from '../src/host/interrupt'
import { cliMain } from './main'

const defaultColumns = 80

/** What the plugin says on standard error when nobody calls it. */
const introduce = async (builtIns: BuiltIns): Promise<string> => {
  const load = builtIns.get('kubenet')
  return load ? (await answerCall(await load(), builtIns, {}, () => '')).stderr : ''
}

/** The command line's world as this process has it. */
const processIo = (builtIns: BuiltIns): CliIo => {
  const isTerminal = isatty(1)
  const commandPath = platform.programPath
  return {
    stdout: text => {
      try {
        writeAll(1, text)
      } catch (error) {
        // "kubenet inspect | head": who has read enough wants no more.
        if (errnoOf(error) !== 'EPIPE') throw error
      }
    },
    stderr: text => {
      try {
        writeAll(2, text)
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
    programs: [...builtIns.keys()],
    programPath: join(dirname(commandPath), 'kubenet'),
    commandPath,
    introduction: () => introduce(builtIns),
  }
}

/** Runs the command line as this process, which ends with it; `builtIns` are the plugins that this program is. */
export const commandMain = async (builtIns: BuiltIns): Promise<never> => {
  watchForInterrupts()
  platform.exit(await cliMain(process.argv.slice(2), processIo(builtIns)))
}
