/** Files of others that an installation replaces. Each is kept beside its place, so that `uninstall` can put it back. */
import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { linkOrCopy, type Staged, stageFile, stageName } from '../../node/conflist/staged-file'
import { removeFile } from '../../src/runtime/durable-file'
import { replacedSuffix } from '../../src/runtime/plugin-path'
import { isSameContent } from './copy-program'

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
