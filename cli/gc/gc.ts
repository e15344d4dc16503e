import { type Answer, command, optional, required } from '../../node/command/command'
import { CliError, ExitCode, failureOf, formatFailure, usageError } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import { flag, list, toggle } from '../../node/command/option'
import { placeOptions, placesOf } from '../../node/command/places'
import { changeLeases, leaseFoldersOf } from '../../plugins/host-local/network'
import { collectClaims } from '../../plugins/portmap/claims'
import type { InterfaceID } from '../../src/attachment/attachment'
import { runAll } from '../../src/cni/error'
import { atLeast } from '../../src/cni/version'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { delStaleAttachment, gcNetworkList } from '../../src/runtime/gc'
import { sweepCache } from '../../src/runtime/result-cache'
import type { RuntimeOptions } from '../../src/runtime/run-plugin'
import { networkNamed, requireNetworkAdmin, requirePlugins, runtimeOptions } from '../frame/networks'
import { type Tell, withProgress } from '../frame/progress'
import { dataDirs, findObjects, findRecords } from './found'
import { gatherEvidence, groupByAttachment, type Judged, judge } from './judge'
import { formatGcReport } from './report'

const sweepLeases = async (dataDir: string, network: string): Promise<void> => {
  const leaseFolders = leaseFoldersOf({ dataDir, network, cooldownSeconds: 0 })
  if (!leaseFolders.store.exists()) return
  await changeLeases(leaseFolders, leases => {
    for (const address of leases.torn()) leases.releaseAddress(address)
  })
}

/**
 * Removes empty leases of a network, records of host ports whose writers were killed, and torn cached results. Under
 * the locks that an ADD would hold, no process is writing them.
 */
const sweep = (network: NetworkConfigList, valid: readonly InterfaceID[], cacheDir: string): Promise<void> =>
  runAll([
    ...dataDirs(network).map(dataDir => () => sweepLeases(dataDir, network.name)),
    () => collectClaims(),
    () => sweepCache(cacheDir, network.name, valid),
  ])

const parseAttachment = (given: string): InterfaceID => {
  const [containerID, ifName, ...rest] = given.split(':')
  if (containerID && ifName && rest.length === 0) return { containerID, ifName }
  throw usageError(`${JSON.stringify(given)} is not CONTAINER:INTERFACE`)
}

type Survey = { readonly judged: readonly Judged[]; readonly notes: readonly string[] }

const survey = async (
  network: NetworkConfigList,
  { cacheDir, io }: { readonly cacheDir: string; readonly io: CliIo },
  named: readonly InterfaceID[],
): Promise<Survey> => {
  const { found, notes } = await withProgress(io, 'reading the node', tell =>
    findObjects(network, cacheDir, tell),
  )
  return { judged: judge(groupByAttachment(found), named, gatherEvidence(network, found)), notes }
}

const attachmentsOf = (judged: readonly Judged[]): InterfaceID[] =>
  judged.flatMap(({ containerID, ifName }) => (ifName === undefined ? [] : [{ containerID, ifName }]))

/** The interface of a container whose rules name none: rules of that kind go by the container. */
const anyIfName = 'eth0'

/** Is it still dead? Time has passed, and another container may have come under its name. */
const isStillDead = async (
  network: NetworkConfigList,
  { containerID, ifName, parts }: Judged,
  cacheDir: string,
): Promise<boolean> => {
  const records = await findRecords(network, cacheDir)
  const own = records.filter(
    found => found.containerID === containerID && (ifName === undefined || found.ifName === ifName),
  )
  const rules = parts.filter(({ subject, netns, madeAt }) => !subject && !netns && madeAt === undefined)
  const again = judge(
    groupByAttachment([...own, ...rules.filter(({ isConnection }) => isConnection === undefined)]),
    [],
    gatherEvidence(network, records),
  )
  return again.every(({ valid }) => !valid)
}

type Wish = RuntimeOptions & { readonly tell: Tell; readonly pluginGc: boolean }

/**
 * Deletes what is stale, each attachment by itself, after another look at it. Containers that are being added meanwhile
 * are not touched: no runtime can be made to wait but ours, so that a plugin's GC, which takes all that is not on a
 * list, is called only where the operator says that nothing is being added. Tries everything, throws all that failed.
 */
const collect = (
  network: NetworkConfigList,
  judged: readonly Judged[],
  named: readonly InterfaceID[],
  { tell, pluginGc, ...options }: Wish,
): Promise<void> => {
  const stale = judged.filter(({ valid }) => !valid)
  const validNow = async (): Promise<InterfaceID[]> => {
    const { found } = await findObjects(network, options.cacheDir, tell)
    const now = judge(groupByAttachment(found), named, gatherEvidence(network, found))
    return [...attachmentsOf(now.filter(({ valid }) => valid)), ...named]
  }
  return runAll([
    ...stale.map((attachment, index) => async () => {
      tell(`deleting container ${index + 1} of ${stale.length}`)
      const { containerID, ifName = anyIfName } = attachment
      await delStaleAttachment(
        network,
        { containerID, ifName, isStale: () => isStillDead(network, attachment, options.cacheDir) },
        options,
      )
    }),
    () => sweep(network, attachmentsOf(judged.filter(({ valid }) => valid)), options.cacheDir),
    async () => {
      if (!pluginGc) return
      tell(`calling GC of the plugins of network "${network.name}"`)
      await gcNetworkList(network, validNow, options)
    },
  ])
}

const attachmentText = ({ containerID, ifName = '' }: Judged): string => `${containerID} ${ifName}`

const refuseEmpty = (network: NetworkConfigList): CliError =>
  new CliError(
    ExitCode.failed,
    `no attachment of network "${network.name}" is valid, so everything of the network would be removed`,
    'name the valid ones with --attachment, or add --all if there is none',
  )

const noPluginGc = ({ name, cniVersion }: NetworkConfigList): string =>
  `network "${name}" is of CNI ${cniVersion}: the plugins' own GC, which finds objects without an owner, needs 1.1.0`

export const gc = command({
  name: 'gc',
  group: 'Attach containers',
  summary: 'list what ended containers left, and with --yes remove it',
  about: [
    'An attachment is stale if its container has provably ended: it is from an earlier boot, or no ' +
      'process and no mount of the node holds its network namespace.',
    'With --yes, checks each stale attachment again and calls DEL for it. Any runtime may add ' +
      'containers meanwhile, except with --plugin-gc, where the plugins also remove objects without an ' +
      'owner.',
  ],
  args: {
    network: required('name of the network', 'network'),
    netns: optional('not used, as in cnitool', 'netns'),
  },
  options: {
    yes: flag('remove the stale attachments'),
    dryRun: toggle('only print what would be removed (as without --yes); --no-dry-run is --yes'),
    attachment: list('container:interface', 'an attachment to keep', parseAttachment),
    all: flag('continue if no attachment is valid'),
    pluginGc: flag('also call GC of the plugins; only while nothing is added to the network'),
    ...placeOptions,
  },
  examples: [
    { line: 'kubenet gc pods', does: 'list stale attachments and the reasons' },
    { line: 'kubenet gc pods --yes', does: 'remove them' },
    { line: 'kubenet gc pods --yes --attachment 4f2a:eth0', does: 'remove them, but keep this one' },
  ],
  run: async ({ args, options, io }): Promise<Answer> => {
    const { yes, dryRun, attachment: named, all, pluginGc } = options
    if (yes && dryRun) throw usageError('--yes and --dry-run exclude each other')
    const isDry = !yes && dryRun !== false
    const places = placesOf(options, io)
    const network = networkNamed(args.network, places, io)
    if (network.disableGC) throw new CliError(ExitCode.failed, `network "${network.name}" has disableGC`)
    if (!isDry) {
      requirePlugins(network, places)
      requireNetworkAdmin()
    }
    const before = await survey(network, { cacheDir: places.cacheDir, io }, named)
    const isEmpty = !all && named.length === 0 && !before.judged.some(({ valid }) => valid)
    const lacksGc = pluginGc && !atLeast(network.cniVersion, '1.1.0')
    const notes = [...before.notes, ...(lacksGc ? [noPluginGc(network)] : [])]
    if (isDry) {
      if (isEmpty && before.judged.length > 0) notes.push(formatFailure(failureOf(refuseEmpty(network))))
      const report = { network: network.name, isDry, judged: before.judged, left: [], notes }
      return formatGcReport({ ...report, needsAll: isEmpty })
    }
    if (isEmpty) throw refuseEmpty(network)
    let failure: unknown
    await withProgress(io, 'deleting stale attachments', tell =>
      collect(network, before.judged, named, { ...runtimeOptions(places, io), tell, pluginGc }),
    ).catch(error => {
      failure = error
    })
    const after = await survey(network, { cacheDir: places.cacheDir, io }, named)
    // Attachments that were alive at the second look were kept.
    const kept = new Map(
      after.judged.filter(({ valid }) => valid).map(entry => [attachmentText(entry), entry]),
    )
    const judged = before.judged.map(entry => kept.get(attachmentText(entry)) ?? entry)
    // Containers that have ended since are left for the next time.
    const was = new Set(before.judged.filter(({ valid }) => !valid).map(attachmentText))
    const left = after.judged.filter(entry => !entry.valid && was.has(attachmentText(entry)))
    if (failure !== undefined) notes.push(formatFailure(failureOf(failure)))
    const failed = failure !== undefined || left.length > 0
    const report = formatGcReport({ network: network.name, isDry, judged, left, notes })
    return { ...report, exitCode: failed ? ExitCode.failed : ExitCode.done }
  },
})
