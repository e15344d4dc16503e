/** The files in the folder of the plugins under our names, and the plan for each. */

import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { CliError, ExitCode } from '../../node/command/failure'
import { errnoOf } from '../../src/host/errno'
import { isOurs } from '../frame/program-file'
import { isSameContent } from './copy-program'

/** The kind of the file under a name: nothing, ours of any version, another's file, or a symbolic link. */
type Occupant = 'nothing' | 'ours' | 'foreign' | 'link'

/**
 * The names of programs that older versions had beside the plugins: the command line was one by itself. Installing
 * removes them.
 */
const formerNames = ['kubenet-cli']

/** One of our names in the folder. */
export type Place = {
  readonly name: string
  readonly path: string
  readonly occupant: Occupant
  /** Where a link leads. */
  readonly target: string | undefined
}

/** Is a file of others, or a link to whatever, under this name? */
export const isForeign = ({ occupant }: Place): boolean => occupant === 'foreign' || occupant === 'link'

const occupantOf = (path: string, stat: Stats | undefined, known: Map<number, boolean>): Occupant => {
  if (!stat) return 'nothing'
  if (stat.isDirectory())
    throw new CliError(ExitCode.failed, `"${path}" is a folder, not a plugin`, 'remove it')
  if (stat.isSymbolicLink()) return 'link'
  // All names of one installation are one file, which is read once.
  const ours = known.get(stat.ino) ?? isOurs(path)
  known.set(stat.ino, ours)
  return ours ? 'ours' : 'foreign'
}

/** The file at a path; undefined for nothing, also where its folder is none. */
const statOf = (path: string): Stats | undefined => {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/** Looks at our names in the folder; throws if one of them is a folder. */
export const surveyNames = (binDir: string, names: readonly string[]): Place[] => {
  const known = new Map<number, boolean>()
  return names.map(name => {
    const path = `${binDir}/${name}`
    const occupant = occupantOf(path, statOf(path), known)
    return { name, path, occupant, target: occupant === 'link' ? readlinkSync(path) : undefined }
  })
}

/** The programs of older versions that are still in the folder. */
export const surveyFormer = (binDir: string): Place[] =>
  surveyNames(
    binDir,
    formerNames.filter(name => statOf(`${binDir}/${name}`)?.isFile()),
  ).filter(({ occupant }) => occupant === 'ours')

const executableByAll = 0o555

/** Are all places one executable file with the bytes of `source`? */
export const isInstalled = (places: readonly Place[], source: string): boolean => {
  const [first] = places
  if (!first || places.some(({ occupant }) => occupant !== 'ours')) return false
  const stats = places.map(({ path }) => lstatSync(path))
  if (stats.some(({ ino, mode }) => ino !== stats[0]?.ino || (mode & executableByAll) !== executableByAll))
    return false
  return isSameContent(first.path, source)
}
