import { accessSync, constants, mkdirSync, rmdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { CliError, ExitCode } from '../command/failure'

/** Folders of programs and configurations are for everybody to look into. */
const folderMode = 0o755

const removeMade = (path: string, first: string): void => {
  for (let at = path; ; at = dirname(at)) {
    try {
      rmdirSync(at)
    } catch {
      return // somebody has put something there since
    }
    if (at === first) return
  }
}

/**
 * Makes a folder and those above it unless it is there, or unless it may not: then it throws. Throws too if nothing
 * can be written into it. Answers how to remove what it made.
 */
export const ensureFolder = (path: string, { create }: { create: boolean }): (() => void) => {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found && !found.isDirectory()) throw new CliError(ExitCode.failed, `"${path}" is not a folder`)
  if (!found && !create) {
    throw new CliError(ExitCode.notFound, `there is no folder ${path}`, 'without --no-create it is made')
  }
  const first = found ? undefined : mkdirSync(path, { recursive: true, mode: folderMode })
  accessSync(path, constants.W_OK | constants.X_OK)
  return () => {
    if (first) removeMade(path, first)
  }
}
