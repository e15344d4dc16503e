import { platform } from '#platform'
import { command } from '../node/command/command'
import { ExitCode } from '../node/command/failure'
import type { CliIo } from '../node/command/io'
import { value, withDefault } from '../node/command/option'
import { type Places, placeOptions, placesOf } from '../node/command/places'
import type { SyncedAttachment } from '../node/sync/sync'
import { watchNode } from '../node/watch/watch'
import { containerWithPod } from '../src/attachment/attachment'
import { isJsonObject } from '../src/cni/schema'
import { requireNetworkAdmin } from './frame/networks'

const secondsOf = (text: string): number => {
  const seconds = Number(text)
  if (Number.isInteger(seconds) && seconds >= 10 && seconds <= 86_400) return seconds
  throw new Error(`${JSON.stringify(text)} is not a number of seconds from 10 to 86400`)
}

const defaultInterval = '300'

/** How many containers of a kind are named; the others are counted. */
const mostNamed = 5

const idOf = (attachment: SyncedAttachment): string =>
  `"${attachment.ifName}" of ${containerWithPod(attachment)} in network "${attachment.network}"`

/** Runs "kubenet sync" as a process: its memory is free when it ends, and this process stays small. */
const syncNode = async (places: Places, io: CliIo): Promise<SyncedAttachment[]> => {
  const folders = places.binDirs.join(',')
  const argv = [
    ...[io.programPath, 'sync', '--json'],
    ...['--cni-conf-dir', places.confDir, '--cni-bin-dir', folders, '--cni-cache-dir', places.cacheDir],
  ] as [string, ...string[]]
  const env = Object.fromEntries(
    Object.entries(io.env).flatMap(([key, text]) => (text === undefined ? [] : [[key, text]])),
  )
  const { exitCode, stdout, stderr } = await platform.run(argv, { env })
  const hasAnswered = exitCode === ExitCode.done || exitCode === ExitCode.failed
  const answer: unknown = hasAnswered ? JSON.parse(stdout) : undefined
  const attachments = isJsonObject(answer) ? answer.attachments : undefined
  if (Array.isArray(attachments)) return attachments
  throw new Error(stderr.trim() || `kubenet sync ended with exit code ${exitCode}`)
}

const tell = (all: readonly SyncedAttachment[], say: (text: string) => void): void => {
  for (const state of ['rebuilt', 'failed'] as const) {
    const found = all.filter(attachment => attachment.state === state)
    for (const attachment of found.slice(0, mostNamed)) {
      const texts = state === 'rebuilt' ? attachment.changes.map(({ text }) => text) : attachment.failures
      say(`${idOf(attachment)}: ${state}: ${texts.join('; ')}`)
    }
    if (found.length > mostNamed) say(`${found.length - mostNamed} more ${state}`)
  }
}

export const watch = command({
  name: 'watch',
  group: 'Set up a node',
  summary: 'rebuild what others remove, as soon as the kernel announces it',
  about: [
    'Runs until SIGTERM or SIGINT. Does what "kubenet sync" does as soon as the kernel announces a loss: of ' +
      'nftables rules, rate limits, bridge ports or addresses, or forwarding. iptables-legacy announces ' +
      'nothing: --interval finds its losses.',
    'Reports each rebuilding on standard error. If something removes the objects again and again, watch ' +
      'rebuilds them every 30 seconds only.',
  ],
  options: {
    interval: withDefault(
      value('seconds', 'time between two checks without a notification', secondsOf),
      defaultInterval,
    ),
    ...placeOptions,
  },
  examples: [
    { line: 'kubenet watch', does: 'watch this node; as a service: "systemctl enable --now kubenet-watch"' },
  ],
  run: async ({ options, io }) => {
    requireNetworkAdmin()
    const places = placesOf(options, io)
    const say = (text: string): void => io.stderr(`kubenet: watch: ${text}\n`)
    say(`watching the networks of ${places.confDir}`)
    await watchNode({
      intervalMs: options.interval * 1000,
      say,
      rebuild: async why => {
        try {
          const all = await syncNode(places, io)
          const rebuilt = all.filter(({ state }) => state === 'rebuilt').length
          if (rebuilt > 0 && why) say(why)
          tell(all, say)
          return rebuilt
        } catch (error) {
          // The fault may be gone in the next round, as when the networks of a node are being written again.
          say(error instanceof Error ? error.message : String(error))
          return 0
        }
      },
    })
    return { json: { ended: 'by a signal' }, text: () => '' }
  },
})
