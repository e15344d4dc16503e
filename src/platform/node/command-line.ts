/**
 * In the place of kubenet's command line: that one is a script of its own, in the same folder, so that a call of a plugin
 * does not read it. It goes on in this process.
 */
import { accessSync, constants, writeSync } from 'node:fs'
import { platform } from '#platform'

/** The script beside the plugins that has the command line. */
const companion = 'kubenet-cli'

/** Runs the command line, which ends the process; explains itself and exits with 1 if that is not there. */
export const commandMain = (): Promise<never> => {
  const { programPath } = platform
  const path = `${programPath.slice(0, programPath.lastIndexOf('/'))}/${companion}`
  try {
    accessSync(path, constants.R_OK)
  } catch (error) {
    writeSync(
      2,
      `kubenet: the command line is a program of its own, which can't be started: ${error instanceof Error ? error.message : error}\n` +
        `  hint: it comes with the plugins; copy it beside them, or run "${companion} install" from where it was unpacked\n`,
    )
    process.exit(1)
  }
  require(path)
  return new Promise(() => {})
}
