/** The file of a network's configuration, and its folder. */
import { accessSync, constants, mkdirSync, rmdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { readAdvice } from '../../src/host/plain-file'
import { readConfDir } from '../../src/runtime/conf-dir'
import { CliError, ExitCode } from '../command/failure'
import { type Staged, stageText } from './staged-file'

/** Every user may read folders of programs and configurations. */
const folderMode = 0o755

const removeMade = (path: string, first: string): void => {
  for (let at = path; ; at = dirname(at)) {
    try {
      rmdirSync(at)
    } catch {
      return // another program has put something there since
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
    throw new CliError(ExitCode.notFound, `there is no folder ${path}`, 'omit --no-create to create it')
  }
  const first = found ? undefined : mkdirSync(path, { recursive: true, mode: folderMode })
  accessSync(path, constants.W_OK | constants.X_OK)
  return () => {
    if (first) removeMade(path, first)
  }
}

/** The file of kubenet's network, early in the lexical order that makes the first one the default. */
export const conflistName = '10-kubenet.conflist'

type ConflistWriting = {
  readonly confDir: string
  readonly text: string
  /** May the folder be made? */
  readonly create: boolean
}

/** A conflist beside its place, to be put there. "unchanged" if it is there already. */
export type StagedConflist = { readonly path: string; readonly staged: Staged | 'unchanged' }

/** Writes the conflist beside its place, so that only a rename can still fail. */
export const stageConflist = ({ confDir, text, create }: ConflistWriting): StagedConflist => {
  const path = `${confDir}/${conflistName}`
  if (readAdvice(path) === text) return { path, staged: 'unchanged' }
  ensureFolder(confDir, { create })
  return { path, staged: stageText(path, text) }
}

const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

/** Other files in the folder that keep a network from being the default, or from being found by its name. */
export const confDirNotes = (confDir: string, name: string): string[] => {
  const notes: string[] = []
  const others = readConfDir({ confDir, onBroken: () => {} }).filter(
    ({ file }) => file !== `${confDir}/${conflistName}`,
  )
  const earlier = others.find(({ file }) => file < `${confDir}/${conflistName}`)
  if (earlier) {
    notes.push(
      `${earlier.file} comes first, so that "${earlier.name}" stays the default network, and makes the node ready by itself; remove it to use this one`,
    )
  }
  const [early] = others
  if (!earlier && early && !isThere(`${confDir}/${conflistName}`)) {
    notes.push(
      `${early.file} makes the node ready before ${conflistName} is there, and its pods get network "${early.name}"; ` +
        'remove it',
    )
  }
  const twin = others.find(other => other.name === name)
  if (twin) notes.push(`${twin.file} has a network "${name}" too; runtimes may take either`)
  return notes
}
