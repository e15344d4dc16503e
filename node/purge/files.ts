/** The files of this program: its network, leases and their records, cached results, and what is in /run. */
import { lstatSync, readdirSync, rmdirSync } from 'node:fs'
import { removeFile } from '../../plugins/host-local/file'
import { usualDataDir } from '../../src/attachment/lease'
import { errnoOf } from '../../src/host/errno'
import { parseAddr } from '../../src/ip/addr'
import { listCacheEntries, removeCacheEntry } from '../../src/runtime/result-cache'
import { conflistName } from '../conflist/conflist'
import type { Tally } from './tally'

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Removes a folder with all that is in it. Links are not followed. */
const removeAll = (path: string): void => {
  if (lstatSync(path).isDirectory()) {
    for (const name of readdirSync(path)) removeAll(`${path}/${name}`)
    rmdirSync(path)
  } else removeFile(path)
}

const recordsFolder = '.kubenet'

/** The files that host-local, ours or the reference's, has beside its leases. */
const isLeaseFile = (name: string): boolean =>
  name === 'lock' || name === '.new' || name.startsWith('last_reserved_ip.') || parseAddr(name) !== undefined

const purgeLeases = (dataDir: string, network: string, tally: Tally): void => {
  const folder = `${dataDir}/${network}`
  const foreign = namesIn(folder).find(name => !isLeaseFile(name))
  if (foreign !== undefined) tally.kept.push(`${folder} stays: "${foreign}" in it is another program's`)
  else tally.remove(`the leases in ${folder}`, () => removeAll(folder))
  removeAll(`${dataDir}/${recordsFolder}/${network}`)
}

const runFolder = '/run/kubenet-cni'

/** The folders that hold leases, and where networks and cached results are. */
type Folders = {
  readonly dataDirs: readonly string[]
  readonly confDir: string
  readonly cacheDir: string
}

/** Removes them. A network's leases are this program's where it has records of them. */
export const purgeFiles = ({ dataDirs, confDir, cacheDir }: Folders, tally: Tally): void => {
  const known = new Set<string>()
  for (const dataDir of new Set([usualDataDir, ...dataDirs])) {
    tally.attempt(`the leases in ${dataDir}`, () => {
      const records = `${dataDir}/${recordsFolder}`
      for (const network of namesIn(records)) {
        known.add(network)
        purgeLeases(dataDir, network, tally)
      }
      if (namesIn(dataDir).includes(recordsFolder)) rmdirSync(records)
    })
  }
  const entries = listCacheEntries(cacheDir).filter(({ network }) => known.has(network))
  if (entries.length > 0)
    tally.remove(`${entries.length} cached results in ${cacheDir}/results`, () => {
      for (const entry of entries) removeCacheEntry(cacheDir, entry)
    })
  const conflist = `${confDir}/${conflistName}`
  if (lstatSync(conflist, { throwIfNoEntry: false })) tally.remove(conflist, () => removeFile(conflist))
  const locks = `${cacheDir}/${recordsFolder}`
  if (lstatSync(locks, { throwIfNoEntry: false })) tally.attempt(locks, () => removeAll(locks))
  if (lstatSync(runFolder, { throwIfNoEntry: false })) tally.remove(runFolder, () => removeAll(runFolder))
}
