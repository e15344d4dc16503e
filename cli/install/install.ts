import { dirname, resolve } from 'node:path'
import { type Answer, type CliCall, command } from '../../node/command/command'
import { denial, flag, text, withDefault } from '../../node/command/option'
import { defaultBinDir, defaultConfDir } from '../../node/command/places'
import {
  confDirNotes,
  conflistOf,
  ensureFolder,
  formatConflist,
  referenceNotes,
  type StagedConflist,
  stageConflist,
} from '../../node/conflist/conflist'
import { checkNetworkValues, networkOptions } from '../../node/conflist/kubelet-flags'
import {
  commitAll,
  linkOrCopy,
  removeLeftovers,
  type Staged,
  stageFile,
  stageName,
  stageRemoval,
} from '../../node/conflist/staged-file'
import { removeFile } from '../../src/runtime/durable-file'
import { withListVersion } from '../frame/runtimes'
import { copyProgram } from './copy-program'
import { isForeign, isInstalled, type Place, stageKept, surveyFormer, surveyNames } from './plan'
import { type InstallAction, type InstalledName, installAnswer } from './report'

const folder = { completes: 'folder' } as const

const options = {
  binDir: withDefault(text('folder', 'where the plugins go', folder), defaultBinDir),
  confDir: withDefault(text('folder', 'folder of the networks, for --pod-cidr', folder), defaultConfDir),
  create: denial('do not create a missing folder'),
  keepForeign: flag('keep existing files of other projects'),
  ...networkOptions,
}

type Call = CliCall<typeof options>

/** Copies this program beside its places, gives the copy all names, and answers the files to be put in place. */
const stageProgram = async (places: readonly Place[], { io }: Call): Promise<Staged[]> => {
  const staged: Staged[] = []
  if (places.length === 0) return staged
  const copy = stageName(places[0]?.path ?? '', 'new')
  try {
    await copyProgram(io.programPath, copy, io)
    for (const { path, name } of places) {
      const temporary = stageName(path, `new-${name}`)
      linkOrCopy(copy, temporary)
      staged.push(stageFile(path, temporary))
    }
    return staged
  } catch (error) {
    for (const file of staged) file.discard()
    throw error
  } finally {
    removeFile(copy)
  }
}

type StagedNetwork = StagedConflist & { readonly notes: readonly string[] }

const stageNetwork = async ({ options, io }: Call): Promise<StagedNetwork | undefined> => {
  if (options.podCidr.length === 0) return undefined
  const confDir = resolve(io.cwd, options.confDir)
  const { values, notes } = await withListVersion(options, io)
  const text = formatConflist(conflistOf(values))
  const staged = stageConflist({ confDir, text, create: options.create })
  return { ...staged, notes: [...notes, ...referenceNotes(values)] }
}

type InPlace = {
  readonly network: StagedNetwork | undefined
  /** Under which path the file of others that was at a path is kept now. */
  readonly keptAs: ReadonlyMap<string, string>
}

/** The files to install, and those of older versions. */
type Changes = { readonly changed: readonly Place[]; readonly former: readonly Place[] }

/** Puts the program and the network in place, all of it or nothing. Files of others that are replaced are kept. */
const putInPlace = async (call: Call, binDir: string, { changed, former }: Changes): Promise<InPlace> => {
  const removeFolder = ensureFolder(binDir, call.options)
  const staged: Staged[] = []
  const keptAs = new Map<string, string>()
  try {
    removeLeftovers(binDir)
    for (const { path } of changed.filter(isForeign)) {
      const copy = stageKept(path)
      if (!copy) continue
      staged.push(copy)
      keptAs.set(path, copy.kept)
    }
    const network = await stageNetwork(call)
    if (network && network.staged !== 'unchanged') staged.push(network.staged)
    staged.push(...(await stageProgram(changed, call)))
    // Behind the others: until they are in place, the old kubenet needs it.
    staged.push(...former.map(({ path }) => stageRemoval(path)))
    commitAll(staged, [binDir, ...(network ? [dirname(network.path)] : [])])
    return { network, keptAs }
  } catch (error) {
    for (const file of staged) file.discard()
    removeFolder()
    throw error
  }
}

const actionOf = (place: Place, { changed, former }: Changes): InstallAction => {
  if (former.includes(place)) return 'removed'
  if (!changed.includes(place)) return isForeign(place) ? 'kept' : 'unchanged'
  return place.occupant === 'nothing' ? 'installed' : 'replaced'
}

const putAll = async (call: Call): Promise<Answer> => {
  const { options: values, io } = call
  if (values.podCidr.length > 0) checkNetworkValues(values)
  const binDir = resolve(io.cwd, values.binDir)
  const places = surveyNames(binDir, io.programs)
  const ours = places.filter(place => !(values.keepForeign && isForeign(place)))
  // All names are of one file, so either every one of them is put in place or none.
  const changed = ours.length === 0 || isInstalled(ours, io.programPath) ? [] : ours
  const changes = { changed, former: surveyFormer(binDir) }
  const { network, keptAs } = await putInPlace(call, binDir, changes)
  const names = [...places, ...changes.former].map(
    (place): InstalledName => ({
      place,
      action: actionOf(place, changes),
      keptAs: keptAs.get(place.path),
    }),
  )
  const confDir = network && dirname(network.path)
  const notes = network ? [...network.notes, ...confDirNotes(confDir ?? '', values.name)] : []
  return installAnswer({ binDir, names, network, notes })
}

export const install = command({
  name: 'install',
  group: 'Set up a node',
  summary: 'install the plugins, and with --pod-cidr a network',
  about: [
    'Copies this program into the folder of the plugins under the names of all plugins. Each name is ' +
      'replaced atomically, so plugins can run meanwhile. If a step fails, all files are restored.',
    'Keeps a replaced plugin of another project as NAME.before-kubenet. Removes kubenet-cli, a ' +
      'program of older versions.',
    'With --pod-cidr it also writes 10-kubenet.conflist, as "kubenet config --write" does, with its options.',
  ],
  options,
  examples: [
    { line: 'kubenet install', does: 'install into /opt/cni/bin' },
    { line: 'kubenet install --pod-cidr 10.244.1.0/24', does: 'also write a network with this range' },
    {
      line: 'kubenet install --bin-dir /usr/lib/cni --keep-foreign',
      does: 'only names that no other project uses',
    },
  ],
  run: putAll,
})
