/**
 * In the place of kubenet's command line, which needs a runtime that knows HTTP and TLS: that one is a program of its
 * own, in the same folder. It is told its name as the user wrote it.
 */

import { writeSync } from './fs'
import { process } from './globals'
import { argv, environment, exec, SystemError } from './kernel'
import { platform } from './platform'

/** The program beside the plugins that has the command line. */
const companion = 'kubenet-cli'

/** Becomes the command line; explains itself and exits with 1 if that is not there. */
export const commandMain = async (): Promise<never> => {
  const { programPath } = platform
  const path = `${programPath.slice(0, programPath.lastIndexOf('/'))}/${companion}`
  const { message } = new SystemError(exec(path, argv(), environment()), 'execve', path)
  writeSync(
    2,
    `kubenet: the command line is a program of its own, which can't be started: ${message}\n` +
      `  hint: it comes with the plugins; copy it beside them, or run "${companion} install" from where it was unpacked\n`,
  )
  return process.exit(1)
}
