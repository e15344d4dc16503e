import { type Answer, command, optional, required } from '../../node/command/command'
import { CliError, ExitCode, failureOf, formatFailure, usageError } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import { flag, list, toggle } from '../../node/command/option'
import { placeOptions, placesOf } from '../../node/command/places'
import type { InterfaceID } from '../../src/attachment/attachment'
import { runAll } from '../../src/cni/error'
import { atLeast } from '../../src/cni/version'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { delNetworkList } from '../../src/runtime/del'
import { gcNetworkList } from '../../src/runtime/gc'
import type { RuntimeOptions } from '../../src/runtime/run-plugin'
import { networkNamed, requirePlugins, runtimeOptions } from '../frame/networks'
import { requireNetworkAdmin } from '../frame/permission'
import { type Tell, withProgress } from '../frame/progress'
import { findObjects } from './found'
import { groupByAttachment, type Judged, judge } from './judge'
import { formatGcReport } from './report'

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
  return { judged: judge(groupByAttachment(found), named), notes }
}

const attachmentsOf = (judged: readonly Judged[]): InterfaceID[] =>
  judged.flatMap(({ containerID, ifName }) => (ifName === undefined ? [] : [{ containerID, ifName }]))

/** The interface of a container whose rules name none: any does, rules of that kind go by the container. */
const anyIfName = 'eth0'

/** Deletes what is stale, then has the plugins look for the rest. Tries everything, throws all that failed. */
const collect = (
  network: NetworkConfigList,
  judged: readonly Judged[],
  named: readonly InterfaceID[],
  { tell, ...options }: RuntimeOptions & { readonly tell: Tell },
): Promise<void> => {
  const stale = judged.filter(({ valid }) => !valid)
  const valid = [...attachmentsOf(judged.filter(entry => entry.valid)), ...named]
  return runAll([
    // The namespace is gone, or another container's by now: without one, plugins delete all they can.
    ...stale.map(({ containerID, ifName = anyIfName }, index) => () => {
      tell(`deleting container ${index + 1} of ${stale.length}`)
      return delNetworkList(network, { containerID, ifName, netns: '' }, options)
    }),
    () => {
      tell(`letting the plugins of network "${network.name}" look for the rest`)
      return gcNetworkList(network, valid, options)
    },
  ])
}

const refuseEmpty = (network: NetworkConfigList): CliError =>
  new CliError(
    ExitCode.failed,
    `no attachment of network "${network.name}" is valid, so all that is left of any would go`,
    'name the valid ones with --attachment, or say --all if there is none',
  )

const noPluginGc = ({ name, cniVersion }: NetworkConfigList): string =>
  `network "${name}" is of CNI ${cniVersion}: the plugins' own GC, which finds what names nobody, is since 1.1.0`

export const gc = command({
  name: 'gc',
  group: 'Attach containers',
  summary: 'remove what is left of containers that are gone; only says what, without --yes',
  about: [
    'An attachment is valid if the network namespace it was made for is still there, as the cached results and the ' +
      'records of leases and host ports tell, or if --attachment names it. What else there is of attachments to the ' +
      'network is stale: cached results, leases, interfaces, host ports, rules.',
    'With --yes, DEL is called for each stale attachment, without a namespace, and then GC of every plugin with the ' +
      'list of the valid ones.',
  ],
  args: {
    network: required('name of the network', 'network'),
    netns: optional('not used; cnitool wants it', 'netns'),
  },
  options: {
    yes: flag('remove it'),
    dryRun: toggle('only say what would be removed, as without --yes; --no-dry-run is --yes'),
    attachment: list(
      'container:interface',
      'an attachment that is valid whatever it looks like',
      parseAttachment,
    ),
    all: flag('go on though no attachment is valid'),
    ...placeOptions,
  },
  examples: [
    { line: 'kubenet gc pods', does: 'what would be removed, and why' },
    { line: 'kubenet gc pods --yes', does: 'remove it' },
    { line: 'kubenet gc pods --yes --attachment 4f2a:eth0', does: 'but not what this container has' },
  ],
  run: async ({ args, options, io }): Promise<Answer> => {
    const { yes, dryRun, attachment: named, all } = options
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
    const notes = [...before.notes, ...(atLeast(network.cniVersion, '1.1.0') ? [] : [noPluginGc(network)])]
    if (isDry) {
      if (isEmpty && before.judged.length > 0) notes.push(formatFailure(failureOf(refuseEmpty(network))))
      return formatGcReport({ network: network.name, isDry, judged: before.judged, left: [], notes })
    }
    if (isEmpty) throw refuseEmpty(network)
    let failure: unknown
    await withProgress(io, 'deleting what is stale', tell =>
      collect(network, before.judged, named, { ...runtimeOptions(places, io), tell }),
    ).catch(error => {
      failure = error
    })
    const after = await survey(network, { cacheDir: places.cacheDir, io }, named)
    const left = after.judged.filter(({ valid }) => !valid)
    if (failure !== undefined) notes.push(formatFailure(failureOf(failure)))
    const failed = failure !== undefined || left.length > 0
    const report = formatGcReport({ network: network.name, isDry, judged: before.judged, left, notes })
    return { ...report, exitCode: failed ? ExitCode.failed : ExitCode.done }
  },
})
