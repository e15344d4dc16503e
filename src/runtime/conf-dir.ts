import { readdirSync } from 'node:fs'
import { maxConfBytes } from '../cni/conf'
import { CniError, ErrorCode } from '../cni/error'
import { errnoOf } from '../host/errno'
import { warn } from '../host/log'
import { readPlainFile, unusableBecause } from '../host/plain-file'
import {
  type NetworkConfigList,
  type PluginConf,
  parseConfList,
  parsePluginFile,
  parseSingleConf,
} from './conf-list'

/** Where the networks of a node are, and what hears of files that cannot be read. */
type ConfDir = {
  readonly confDir: string
  /** Called with the reason if a file is skipped; default: writes it to stderr. */
  readonly onBroken?: (failure: CniError, file: string) => void
}

const listExtension = '.conflist'
const singleExtensions = ['.conf', '.json']

const extensionOf = (name: string): string => {
  const dot = name.lastIndexOf('.')
  return dot < 0 ? '' : name.slice(dot)
}

/** The files of a folder that end in one of `extensions`, in lexical order; none if there is no such folder. */
const confFiles = (folder: string, extensions: readonly string[]): string[] => {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(entry => !entry.isDirectory() && extensions.includes(extensionOf(entry.name)))
      .map(entry => `${folder}/${entry.name}`)
      .sort()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Reads a file, through links: a mounted ConfigMap has nothing else. */
const readText = (file: string): string => {
  let text: string | undefined
  try {
    text = readPlainFile(file, { maxBytes: maxConfBytes, followLinks: true })
  } catch (cause) {
    const why = unusableBecause(file, cause) ?? errnoOf(cause) ?? 'failed'
    throw new CniError(ErrorCode.ioFailure, `read ${file}: ${why}`, { cause })
  }
  if (text !== undefined) return text
  throw new CniError(ErrorCode.ioFailure, `read ${file}: ENOENT`, { details: 'no such file' })
}

/** The plugins in `<folder of the list>/<network>/*.conf`, which other programs put there: SPEC.md, section 1. */
const addedPlugins = (list: NetworkConfigList): PluginConf[] => {
  if (list.loadOnlyInlinedPlugins) return []
  const folder = `${list.file.slice(0, list.file.lastIndexOf('/') + 1) || './'}${list.name}`
  return confFiles(folder, ['.conf']).map(file => parsePluginFile(readText(file), file))
}

/**
 * Reads one network from its file, with the plugins beside it. Throws a CniError whose message begins with the name
 * of the broken file, its line and column if it is not JSON.
 */
export const readConfList = (file: string): NetworkConfigList => {
  const text = readText(file)
  if (extensionOf(file) !== listExtension) return parseSingleConf(text, file)
  const list = parseConfList(text, file)
  const plugins = [...list.plugins, ...addedPlugins(list)]
  if (plugins.length > 0) return { ...list, plugins }
  throw new CniError(ErrorCode.invalidNetworkConfig, `${file}: no plugin configs found`)
}

const warnOfSkipped = (failure: CniError): void => warn(`${failure.message}; the file is skipped`)

/** The networks of a folder in the lexical order of their files. A broken file is reported and skipped. */
export const readConfDir = ({ confDir, onBroken = warnOfSkipped }: ConfDir): NetworkConfigList[] => {
  const lists: NetworkConfigList[] = []
  for (const file of confFiles(confDir, [listExtension, ...singleExtensions])) {
    try {
      lists.push(readConfList(file))
    } catch (error) {
      onBroken(CniError.from(error), file)
    }
  }
  return lists
}

const notFound = (message: string, details = '') =>
  new CniError(ErrorCode.invalidNetworkConfig, message, { details })

/** The network of that name; as with libcni, a `.conflist` before a `.conf`. Throws code 7 if there is none. */
export const findConfList = (dir: ConfDir, name: string): NetworkConfigList => {
  const lists = readConfDir(dir)
  const named = lists.filter(list => list.name === name)
  const found = named.find(list => list.file.endsWith(listExtension)) ?? named[0]
  if (found) return found
  const names = lists.map(list => JSON.stringify(list.name)).join(', ')
  throw notFound(
    `no net configuration with name "${name}" in ${dir.confDir}`,
    names && `the networks there are ${names}`,
  )
}
