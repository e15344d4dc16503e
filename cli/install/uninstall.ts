import { readdirSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Answer, type CliCall, command } from '../../node/command/command'
import { CliError, ExitCode } from '../../node/command/failure'
import { flag, text, withDefault } from '../../node/command/option'
import { defaultBinDir, defaultCacheDir, defaultConfDir, type Places } from '../../node/command/places'
import { conflistName } from '../../node/conflist/conflist'
import { commitAll, commitChecked, stageRemoval, syncFolder } from '../../node/conflist/staged-file'
import { obstacles, purgeNode, vethsOfNobody } from '../../node/purge/purge'
import type { Tally } from '../../node/purge/tally'
import type { NodeAttachment } from '../../node/survey/attachments'
import type { Survey } from '../../node/survey/survey'
import { containerWithPod } from '../../src/attachment/attachment'
import { pause, throwIfInterrupted } from '../../src/host/interrupt'
import { readConfDir } from '../../src/runtime/conf-dir'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { removeFile } from '../../src/runtime/durable-file'
import { agentName, agents } from '../frame/agent-process'
import { requiredTypes, requireNetworkAdmin } from '../frame/networks'
import { readSurvey, unreadNotes } from '../frame/survey'
import { keptCopies, type Place, stageRestored, surveyFormer, surveyNames } from './plan'
import { type InstalledName, installAnswer } from './report'

/** An ADD waits for each of its locks for 5 s at most, and there are a few of them. */
const patienceMs = 20_000

const pollMs = 50

const isSameFolder = (path: string, folder: string): boolean => {
  try {
    const [a, b] = [statSync(path), statSync(folder)]
    return a.dev === b.dev && a.ino === b.ino
  } catch {
    return false // no such folder
  }
}

/** The environment of a process; nothing if it has ended. */
const environmentOf = (pid: string): string[] => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  } catch {
    return []
  }
}

/** Does the process do a call that may look for plugins in the folder? */
const isCall = (pid: string, folder: string): boolean => {
  const environment = environmentOf(pid)
  const path = environment.find(entry => entry.startsWith('CNI_PATH='))?.slice('CNI_PATH='.length)
  return (
    path !== undefined &&
    environment.some(entry => /^CNI_COMMAND=./.test(entry)) &&
    path.split(':').some(entry => isSameFolder(entry, folder))
  )
}

const callsIn = (folder: string): string[] =>
  readdirSync('/proc').filter(
    name => /^\d+$/.test(name) && Number(name) !== process.pid && isCall(name, folder),
  )

/** Waits until no plugin of the folder runs: the objects of an unfinished call cannot be seen. Throws after a while. */
const waitForCalls = async (folder: string): Promise<void> => {
  const end = performance.now() + patienceMs
  for (let calls = callsIn(folder); calls.length > 0; calls = callsIn(folder)) {
    throwIfInterrupted('waiting for calls of plugins')
    if (performance.now() > end)
      throw new CliError(
        ExitCode.failed,
        `plugins of ${folder} are being called, for ${patienceMs / 1000} s now: process ${calls.join(', ')}`,
        'what they do is not known before they end: wait for them, and try again',
      )
    await pause(pollMs) // nothing announces the end of another's process
  }
}

const folder = { completes: 'folder' } as const

const options = {
  binDir: withDefault(text('folder', 'where the plugins are', folder), defaultBinDir),
  confDir: withDefault(
    text('folder', 'folder of the networks, which may need the plugins', folder),
    defaultConfDir,
  ),
  restore: flag('put back the plugins that "kubenet install" replaced'),
  purge: flag('also remove bridges, rules, leases and sysctls of ours, if no container is attached'),
  force: flag('even if networks or running containers need the plugins'),
}

type Call = CliCall<typeof options>

/** A name of ours in the folder, and the file of others that can take its place. */
type Leaving = { readonly place: Place; readonly kept: string | undefined }

const nameOf = ({ pod, containerID, ifName, network }: NodeAttachment): string =>
  `${containerWithPod({ containerID, pod })} (${ifName} on ${network || 'a network without a name'})`

/** The most names that one message has. */
const shownAtMost = 5

const listed = (names: readonly string[]): string =>
  names.length > shownAtMost
    ? `${names.slice(0, shownAtMost).join(', ')} and ${names.length - shownAtMost} more`
    : names.join(', ')

/** The networks that need one of the types, a line each. */
const networksThatNeed = (networks: readonly NetworkConfigList[], types: ReadonlySet<string>): string[] =>
  networks.flatMap(network => {
    const missing = requiredTypes(network).filter(type => types.has(type))
    return missing.length > 0
      ? [`network "${network.name}" (${network.file}) needs ${missing.join(', ')}`]
      : []
  })

/**
 * The containers whose DEL would find no plugin any more. A network without a file is taken for one that needs ours.
 */
const containersThatNeed = (
  attachments: readonly NodeAttachment[],
  networks: readonly NetworkConfigList[],
  types: ReadonlySet<string>,
): string[] => {
  const unaffected = new Set(
    networks.filter(network => !requiredTypes(network).some(type => types.has(type))).map(({ name }) => name),
  )
  const needing = attachments.filter(({ state, network }) => state !== 'gone' && !unaffected.has(network))
  return needing.length > 0
    ? [`${needing.length} attached containers need them for DEL: ${listed(needing.map(nameOf))}`]
    : []
}

/** Throws while an agent runs: it would write the network again. */
const requireNoAgent = (): void => {
  const running = agents()
  if (running.length === 0) return
  throw new CliError(
    ExitCode.failed,
    `nothing is purged: ${agentName} runs (process ${running.join(', ')}), and would write the network again`,
    'delete the DaemonSet, or stop kubenet-agent, first',
  )
}

/** Throws if the owner of a veth is not known: its container may run, and need what a purge takes. */
const requireNoStranger = (survey: Survey): void => {
  const veths = vethsOfNobody(survey)
  if (veths.length === 0) return
  const bridges = new Map(survey.readings.links.map(({ index, name }) => [index, name]))
  const names = veths.map(({ name, master }) =>
    bridges.has(master) ? `${name} on bridge "${bridges.get(master)}"` : name,
  )
  throw new CliError(
    ExitCode.failed,
    `nothing is purged: the owner of veth ${listed(names)} is not known, and may run`,
    'delete its container; "ip link del" if it has none',
  )
}

/** Throws unless all attachments of the node are gone: a purge takes what they share. */
const requireNoAttachment = ({ force }: Call['options'], survey: Survey): void => {
  const unread = unreadNotes(survey)
  if (unread.length > 0) throw new CliError(ExitCode.failed, `nothing is purged: ${unread.join('; ')}`)
  const there = obstacles(survey, force)
  if (there.length === 0) {
    requireNoStranger(survey)
    return
  }
  const isLive = there.some(({ state }) => state !== 'gone')
  throw new CliError(
    ExitCode.failed,
    `nothing is purged: ${there.length} containers may be attached: ${listed(there.map(one => `${nameOf(one)}: ${one.why}`))}`,
    isLive
      ? 'delete them first; one that ended is known as such a minute later'
      : 'if they have ended, "kubenet gc NETWORK --yes --all" or --force removes what is left of them',
  )
}

/** Purges the node, from which our programs are gone, after another look. */
const purgeAll = async (call: Call, places: Places): Promise<Tally> => {
  requireNoAgent()
  const survey = await readSurvey(places, call.io)
  requireNoAttachment(call.options, survey)
  return await purgeNode({ survey, confDir: places.confDir, cacheDir: places.cacheDir })
}

/** Throws unless nothing on the node needs the plugins that would be missing; with --force it only says what does. */
const checkNeeds = async (leaving: readonly Leaving[], call: Call, places: Places): Promise<string[]> => {
  const types = new Set(leaving.filter(({ kept }) => kept === undefined).map(({ place }) => place.name))
  if (types.size === 0) return []
  const networks = readConfDir({ confDir: places.confDir, onBroken: () => {} }).filter(
    // Our own goes with a purge.
    ({ file }) => !call.options.purge || file !== `${places.confDir}/${conflistName}`,
  )
  const survey = await readSurvey(places, call.io)
  const needs = [
    ...networksThatNeed(networks, types),
    ...containersThatNeed(survey.attachments, networks, types),
    // A container that cannot be seen may be there all the same.
    ...unreadNotes(survey),
  ]
  if (needs.length === 0 || call.options.force) return needs
  const hint = call.options.restore
    ? `no copy of ${[...types].join(', ')} was kept`
    : 'move the networks away and delete the containers, or use --restore: it puts back the earlier plugins'
  throw new CliError(
    ExitCode.failed,
    `the plugins are in use: ${needs.join('; ')}`,
    `${hint}; --force removes them anyway`,
  )
}

const uninstallAll = async (call: Call): Promise<Answer> => {
  const { options: values, io } = call
  const binDir = resolve(io.cwd, values.binDir)
  const places = [...surveyNames(binDir, io.programs), ...surveyFormer(binDir)]
  const found = places.filter(({ occupant }) => occupant !== 'nothing')
  if (found.length === 0 && !values.purge)
    throw new CliError(ExitCode.notFound, `none of our plugins is in ${binDir}`)
  const leaving = found
    .filter(({ occupant }) => occupant === 'ours')
    .map((place): Leaving => ({ place, kept: values.restore ? keptCopies(place.path).at(-1) : undefined }))
  const survey = {
    binDirs: [binDir],
    confDir: resolve(io.cwd, values.confDir),
    cacheDir: defaultCacheDir,
  }
  if (values.purge) {
    requireNetworkAdmin()
    requireNoAgent()
    requireNoAttachment(values, await readSurvey(survey, io))
  }
  const notes = await checkNeeds(leaving, call, survey)
  const purged: Tally[] = []
  const restored = () =>
    leaving.flatMap(({ place, kept }) => (kept === undefined ? [] : [stageRestored(place.path, kept)]))
  // A purge wants no plugin to be called meanwhile: the earlier ones come back after it.
  const staged = values.purge
    ? leaving.map(({ place }) => stageRemoval(place.path))
    : [
        ...restored(),
        ...leaving.filter(({ kept }) => kept === undefined).map(({ place }) => stageRemoval(place.path)),
      ]
  const folders = found.length > 0 ? [binDir] : []
  await commitChecked(staged, folders, async () => {
    const isRestored = leaving.every(({ kept }) => kept !== undefined)
    if (!values.purge && (values.force || isRestored)) return
    // No more calls begin. One that began before may have added a container that needs the plugins.
    await waitForCalls(binDir)
    await checkNeeds(leaving, call, survey)
    if (values.purge) purged.push(await purgeAll(call, survey))
  })
  if (values.purge) commitAll(restored(), folders)
  for (const { kept } of leaving) if (kept !== undefined) removeFile(kept)
  for (const path of folders) syncFolder(path)
  const names = found.map((place): InstalledName => {
    const own = leaving.find(entry => entry.place === place)
    if (!own) return { place, action: 'kept' }
    return { place, action: own.kept === undefined ? 'removed' : 'restored' }
  })
  return installAnswer({ binDir, names, network: undefined, notes, purged: purged[0] })
}

export const uninstall = command({
  name: 'uninstall',
  group: 'Set up a node',
  summary: 'remove our plugins, or restore the previous ones',
  about: [
    'Removes only our files from the folder of the plugins. If a step fails, all files are restored.',
    'Refuses while a network or a running container needs a plugin that would be missing: a ' +
      'container cannot be deleted without its plugin.',
    '--purge refuses while a container may be attached or kubenet-agent runs, also with --force. It removes what is proven to be ours, and names what stays.',
  ],
  options,
  examples: [
    { line: 'kubenet uninstall --restore', does: 'restore the previous plugins' },
    { line: 'kubenet uninstall --bin-dir /usr/lib/cni', does: 'remove our plugins' },
    { line: 'kubenet uninstall --purge', does: 'remove all that is ours from a node without pods' },
  ],
  run: uninstallAll,
})
