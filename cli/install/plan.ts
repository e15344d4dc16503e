/**
 * The files in the folder of the plugins under our names, and the plan for each. A file of others that an installation
 * replaces is kept beside its place, so that `uninstall` can put it back.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs'
import { basename, dirname } from 'node:path'
import { CliError, ExitCode } from '../../node/command/failure'
import { linkOrCopy, type Staged, stageFile, stageName } from '../../node/conflist/staged-file'
import { errnoOf } from '../../src/host/errno'
import { removeFile } from '../../src/runtime/durable-file'
import { replacedSuffix } from '../../src/runtime/plugin-path'
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

/** The number in "bridge.before-kubenet" (1) or "bridge.before-kubenet.2"; undefined for the name of any other file. */
const numberOf = (file: string, name: string): number | undefined => {
  if (!file.startsWith(`${name}${replacedSuffix}`)) return undefined
  const rest = file.slice(name.length + replacedSuffix.length)
  if (rest === '') return 1
  return /^\.[1-9]\d*$/.test(rest) ? Number(rest.slice(1)) : undefined
}

/** The copies that were kept of the file at `path`, oldest first. */
export const keptCopies = (path: string): string[] => {
  const [folder, name] = [dirname(path), basename(path)]
  return readdirSync(folder)
    .flatMap(file => {
      const number = numberOf(file, name)
      return number === undefined ? [] : [{ file: `${folder}/${file}`, number }]
    })
    .sort((a, b) => a.number - b.number)
    .map(({ file }) => file)
}

const isSameFile = (a: string, b: string): boolean => {
  const [first, second] = [lstatSync(a), lstatSync(b)]
  if (first.isSymbolicLink() || second.isSymbolicLink())
    return first.isSymbolicLink() && second.isSymbolicLink() && readlinkSync(a) === readlinkSync(b)
  return isSameContent(a, b)
}

/**
 * Stages a second name for the file or link at `path`: NAME.before-kubenet, or NAME.before-kubenet.2 where another
 * version was kept earlier. Undefined if this very version has been kept already. Commit it before the new file.
 */
export const stageKept = (path: string): (Staged & { readonly kept: string }) | undefined => {
  const copies = keptCopies(path)
  if (copies.some(copy => isSameFile(copy, path))) return undefined
  const last = copies.at(-1)
  const number = last === undefined ? 1 : (numberOf(basename(last), basename(path)) ?? 1) + 1
  const kept = `${path}${replacedSuffix}${number === 1 ? '' : `.${number}`}`
  return {
    kept,
    commit: () => linkOrCopy(path, kept),
    undo: () => removeFile(kept),
    discard: () => {},
  }
}

/** Stages the kept copy at `kept` in the place it had. The copy stays until the caller removes it. */
export const stageRestored = (path: string, kept: string): Staged => {
  const temporary = stageName(path, 'restored')
  linkOrCopy(kept, temporary)
  return stageFile(path, temporary)
}
