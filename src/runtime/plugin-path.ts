import { readdirSync, statSync } from 'node:fs'
import { CniError, ErrorCode } from '../cni/error'
import { errnoOf } from '../host/errno'

/** An executable file of one of the plugin folders. */
export type PluginPath = { readonly name: string; readonly path: string }

/** The end of the name under which `kubenet install` keeps a plugin of others that it replaced. */
export const replacedSuffix = '.before-kubenet'

const statFile = (path: string): { executable: boolean } | undefined => {
  try {
    const stat = statSync(path)
    return stat.isFile() ? { executable: (stat.mode & 0o111) !== 0 } : undefined
  } catch {
    return undefined // not there, or in a folder that cannot be read: the next one may have it
  }
}

/** The first regular file called `type` in the folders, in their order; throws code 7 naming them if none has it. */
export const findPlugin = (type: string, binDirs: readonly string[]): string => {
  const notFound = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, message)
  if (type === '') throw notFound('no plugin name provided')
  if (type.includes('/')) throw notFound(`invalid plugin name: ${type}`)
  const found = binDirs.map(folder => `${folder}/${type}`).find(statFile)
  if (found) return found
  throw notFound(`failed to find plugin "${type}" in path [${binDirs.join(' ')}]`)
}

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
    throw error
  }
}

/**
 * The executables a runtime would find, each once, at its first place. Names with a leading dot, and plugins that were
 * replaced and kept, are left out.
 */
export const listPlugins = (binDirs: readonly string[]): PluginPath[] => {
  const found = new Map<string, PluginPath>()
  for (const folder of binDirs) {
    for (const name of namesIn(folder)) {
      const path = `${folder}/${name}`
      if (
        !name.startsWith('.') &&
        !name.includes(replacedSuffix) &&
        !found.has(name) &&
        statFile(path)?.executable
      )
        found.set(name, { name, path })
    }
  }
  return [...found.values()]
}
