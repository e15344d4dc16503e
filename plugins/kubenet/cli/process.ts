import { writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import { platform } from '#platform'
import { errnoOf } from '../../../src/cni/error'
import type { BuiltIns } from '../../../src/cni/plugin'
import { answerCall } from '../../../src/cni/skel'
import { watchForInterrupts } from '../../../src/host/interrupt'
import type { CliIo } from './io'
import { cliMain } from './main'

const retryMs = 1

/** Writes all of a text, waiting for a pipe that is full. A reader that has gone wants no more: no failure. */
const write = (fd: number, text: string): void => {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'EPIPE') return
      if (errno !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs)
    }
  }
}

const defaultColumns = 80

/** What the plugin says on standard error when nobody calls it. */
const introduce = async (builtIns: BuiltIns): Promise<string> => {
  const load = builtIns.get('kubenet')
  return load ? (await answerCall(await load(), builtIns, {}, () => '')).stderr : ''
}

/** The command line's world as this process has it. */
const processIo = (builtIns: BuiltIns): CliIo => {
  const isTerminal = isatty(1)
  return {
    stdout: text => write(1, text),
    stderr: text => {
      try {
        write(2, text)
      } catch {
        // There is nowhere left to say it.
      }
    },
    isTerminal,
    // Setting up the stream is slow, so it is not asked unless there is a terminal.
    columns: (isTerminal && process.stdout.columns) || defaultColumns,
    env: process.env,
    cwd: process.cwd(),
    programs: [...builtIns.keys()],
    programPath: platform.programPath,
    introduction: () => introduce(builtIns),
  }
}

/** Runs the command line as this process, which ends with it; `builtIns` are the plugins that this program is. */
export const commandMain = async (builtIns: BuiltIns): Promise<never> => {
  watchForInterrupts()
  process.exit(await cliMain(process.argv.slice(2), processIo(builtIns)))
}
