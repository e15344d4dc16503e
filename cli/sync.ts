import { type Answer, command, optional } from '../node/command/command'
import { ExitCode, failureOf, formatFailure } from '../node/command/failure'
import { flag } from '../node/command/option'
import { placeOptions, placesOf } from '../node/command/places'
import type { Style } from '../node/command/style'
import { watchRebuilt } from '../node/sync/rebuilt'
import { readRecords } from '../node/sync/records'
import { goneAttachment, type Synced, type SyncedAttachment, syncAttachment } from '../node/sync/sync'
import { type Added, rebuildTogether } from '../node/sync/together'
import { containerWithPod, keyOf } from '../src/attachment/attachment'
import { podInPairs } from '../src/runtime/attachment'
import type { CacheEntry } from '../src/runtime/result-cache'
import { networkNamed, networksOf, requireNetworkAdmin } from './frame/networks'
import { Progress } from './frame/progress'

const broken = ({ network, containerID, ifName, args }: CacheEntry, error: unknown): SyncedAttachment => ({
  network,
  containerID,
  ifName,
  pod: podInPairs(args),
  state: 'failed',
  changes: [],
  failures: [formatFailure(failureOf(error))],
})

const states = (isDry: boolean, style: Style): Record<SyncedAttachment['state'], string> => ({
  whole: style.green('as it was'),
  rebuilt: style.yellow(isDry ? 'would be rebuilt' : 'rebuilt'),
  gone: style.dim('gone; "kubenet gc" shows what is left'),
  failed: style.red('failed'),
})

const describe = (attachment: SyncedAttachment, isDry: boolean, style: Style): string[] => [
  `${attachment.network} ${containerWithPod(attachment)} ${attachment.ifName}: ${states(isDry, style)[attachment.state]}`,
  ...attachment.changes.map(({ text }) => `  ${text}`),
  ...attachment.failures.map(text => `  ${style.red('failed:')} ${text}`),
]

/** An attachment with what was added before it was compared. */
const withAdded = ({ attachment, rebuilt }: Synced, added: Added | undefined): Synced => {
  if (!added) return { attachment, ...(rebuilt && { rebuilt }) }
  const changes = [{ what: 'rules' as const, text: added.text }, ...attachment.changes]
  const failures = [...added.failures, ...attachment.failures]
  const done = attachment.state === 'whole' ? 'rebuilt' : attachment.state
  const state = added.failures.length > 0 ? 'failed' : done
  const takeBacks = [...added.rebuilt.takeBacks, ...(rebuilt?.takeBacks ?? [])]
  return { attachment: { ...attachment, state, changes, failures }, rebuilt: { ...added.rebuilt, takeBacks } }
}

const answerOf = (attachments: readonly SyncedAttachment[], isDry: boolean): Answer => {
  const failed = attachments.filter(({ state }) => state === 'failed').length
  return {
    json: { dryRun: isDry, attachments },
    text: style => {
      if (attachments.length === 0) return 'no attachment is recorded\n'
      const lines = attachments.flatMap(attachment => describe(attachment, isDry, style))
      return lines.map(line => `${line}\n`).join('')
    },
    ...(failed > 0 && { exitCode: ExitCode.failed }),
  }
}

export const sync = command({
  name: 'sync',
  group: 'Look at a node',
  summary: 'rebuild missing rules, host ports, addresses and bridge ports',
  about: [
    'Use it after "nft flush ruleset", "firewall-cmd --reload", or after a network manager changed the ' +
      'bridge. Rebuilds what kubenet, bridge, portmap and bandwidth made for running containers. Existing ' +
      'objects stay unchanged; it removes nothing.',
    'Containers may be added and deleted meanwhile. Sync watches the rebuilt containers for 3 seconds: ' +
      'if an interface goes, sync removes what it wrote.',
  ],
  args: { network: optional('name of a network (default: all)', 'network') },
  options: { dryRun: flag('only print what would be rebuilt'), ...placeOptions },
  examples: [
    { line: 'kubenet sync', does: 'rebuild after a firewall reload' },
    { line: 'kubenet sync pods --dry-run', does: 'show what network "pods" lacks' },
  ],
  run: async ({ args: { network }, options, io }) => {
    const places = placesOf(options, io)
    const lists = network === undefined ? networksOf(places, io) : [networkNamed(network, places, io)]
    requireNetworkAdmin()
    const { cacheDir } = places
    const synced: Synced[] = []
    const isWanted = (name: string) => network === undefined || name === network
    const records = readRecords(cacheDir, lists, (entry, error) => {
      if (isWanted(entry.network)) synced.push({ attachment: broken(entry, error) })
    })
    const wanted = records.filter(({ entry }) => isWanted(entry.network))
    const progress = new Progress(io)
    const together = options.dryRun ? undefined : await rebuildTogether(wanted, cacheDir)
    for (const [index, record] of wanted.entries()) {
      progress.tick(() => `rebuilding container ${index + 1} of ${wanted.length}`)
      const one = await syncAttachment(record, { isDry: options.dryRun, cacheDir })
      synced.push(withAdded(one, together?.get(keyOf(record.entry))))
    }
    const gone = await watchRebuilt(
      synced.flatMap(({ rebuilt }) => rebuilt ?? []),
      cacheDir,
    )
    const attachments = synced.map(({ attachment, rebuilt }) => {
      const failures = rebuilt && gone.get(rebuilt)
      return failures ? goneAttachment(attachment, failures) : attachment
    })
    return answerOf(attachments, options.dryRun)
  },
})
