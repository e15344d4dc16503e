import { basename } from 'node:path'
import type { Answer } from '../../node/command/command'
import { ExitCode } from '../../node/command/failure'
import type { Style } from '../../node/command/style'
import type { StagedConflist } from '../../node/conflist/conflist'
import type { Tally } from '../../node/purge/tally'
import { commit, version } from '../../src/build-info'
import { formatTable } from '../frame/table'
import type { Place } from './plan'

export type InstallAction = 'installed' | 'replaced' | 'unchanged' | 'kept' | 'removed' | 'restored'

/** One of our names, and what became of it. */
export type InstalledName = {
  readonly place: Place
  readonly action: InstallAction
  /** The path under which the file of others that was there is kept now. */
  readonly keptAs?: string | undefined
}

/** The result of an installation. */
type Installation = {
  readonly binDir: string
  readonly names: readonly InstalledName[]
  readonly network: StagedConflist | undefined
  readonly notes: readonly string[]
  /** What `uninstall --purge` did. */
  readonly purged?: Tally | undefined
}

const purgedText = ({ removed, kept, failed }: Tally, style: Style): string =>
  [
    ...removed.map(text => `${style.green('purged')} ${text}`),
    ...kept.map(text => `${style.yellow('kept')} ${text}`),
    ...failed.map(text => `${style.red('failed')} ${text}`),
  ]
    .map(line => `${line}\n`)
    .join('')

const occupantText = ({ occupant, target }: Place): string => {
  if (occupant === 'link') return `a link to ${target}`
  return { nothing: '-', ours: 'kubenet-cni', foreign: "another's file" }[occupant]
}

const previousText = ({ place, keptAs }: InstalledName): string =>
  occupantText(place) + (keptAs === undefined ? '' : `, kept as ${basename(keptAs)}`)

const paint = (action: InstallAction, style: Style): string => {
  if (action === 'kept') return style.yellow(action)
  return action === 'unchanged' ? action : style.green(action)
}

const networkText = ({ path, staged }: StagedConflist): string =>
  `${path} ${staged === 'unchanged' ? 'is unchanged' : 'is written'}\n`

/** The change of each name, as an answer. */
export const installAnswer = ({ binDir, names, network, notes, purged }: Installation): Answer => ({
  json: {
    version,
    commit,
    binDir,
    programs: names.map(({ place, action, keptAs }) => ({
      name: place.name,
      path: place.path,
      action,
      previous: place.occupant,
      ...(place.target !== undefined && { target: place.target }),
      ...(keptAs !== undefined && { keptAs }),
    })),
    ...(network && { network: { file: network.path, written: network.staged !== 'unchanged' } }),
    ...(purged && { purged: { removed: purged.removed, kept: purged.kept, failed: purged.failed } }),
    notes,
  },
  text: style =>
    formatTable(
      [{ title: 'NAME' }, { title: 'ACTION' }, { title: 'WAS' }, { title: 'PATH' }],
      names.map(entry => [
        entry.place.name,
        paint(entry.action, style),
        previousText(entry),
        entry.place.path,
      ]),
      style,
    ) +
    (network ? networkText(network) : '') +
    (purged ? purgedText(purged, style) : ''),
  notes,
  ...(purged && purged.failed.length > 0 && { exitCode: ExitCode.failed }),
})
