/** Where a node has its networks, plugins and cached results, as options and environment say it. */
import { resolve } from 'node:path'
import type { CliIo } from './io'
import { listOfTexts, text, withDefault } from './option'

export const defaultBinDir = '/opt/cni/bin'
export const defaultConfDir = '/etc/cni/net.d'
export const defaultCacheDir = '/var/lib/cni'

const folder = { completes: 'folder' } as const

/** The options of every subcommand that have to do with networks. */
export const placeOptions = {
  cniConfDir: text('folder', `folder of the networks (default: NETCONFPATH, else ${defaultConfDir})`, folder),
  cniBinDir: listOfTexts(
    'folder',
    `folders of plugins, after those of CNI_PATH, else ${defaultBinDir}`,
    folder,
  ),
  cniCacheDir: withDefault(
    text('folder', 'folder of the cached results, in its results/', folder),
    defaultCacheDir,
  ),
}

export type Places = {
  readonly confDir: string
  readonly binDirs: readonly string[]
  readonly cacheDir: string
}

type PlaceValues = {
  readonly cniConfDir: string | undefined
  readonly cniBinDir: readonly string[]
  readonly cniCacheDir: string
}

/** The places that options and environment name, as absolute paths. */
export const placesOf = (
  { cniConfDir, cniBinDir, cniCacheDir }: PlaceValues,
  { env, cwd }: CliIo,
): Places => {
  const searched = env.CNI_PATH ? env.CNI_PATH.split(':').filter(Boolean) : [defaultBinDir]
  const binDirs = [...searched, ...cniBinDir].map(path => resolve(cwd, path))
  return {
    confDir: resolve(cwd, cniConfDir ?? (env.NETCONFPATH || defaultConfDir)),
    binDirs: [...new Set(binDirs)],
    cacheDir: resolve(cwd, cniCacheDir),
  }
}
