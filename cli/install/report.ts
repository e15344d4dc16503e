import type { Answer } from '../../node/command/command'
import type { Style } from '../../node/command/style'
import type { StagedConflist } from '../../node/conflist/conflist-file'
import { commit, version } from '../../src/build-info'
import { formatTable } from '../frame/table'
import type { Place } from './plan'

export type InstallAction = 'installed' | 'replaced' | 'unchanged' | 'kept' | 'removed'

/** One of our names, and what became of it. */
export type InstalledName = { readonly place: Place; readonly action: InstallAction }

/** What an installation did. */
export type Installation = {
  readonly binDir: string
  readonly names: readonly InstalledName[]
  readonly network: StagedConflist | undefined
  readonly notes: readonly string[]
}

const previousText = ({ occupant, target }: Place): string => {
  if (occupant === 'link') return `a link to ${target}`
  return { nothing: '-', ours: 'kubenet-cni', foreign: "another's file" }[occupant]
}

const paint = (action: InstallAction, style: Style): string => {
  if (action === 'kept') return style.yellow(action)
  return action === 'unchanged' ? action : style.green(action)
}

const networkText = ({ path, staged }: StagedConflist): string =>
  `${path} ${staged === 'unchanged' ? 'is as it should be already' : 'is written'}\n`

/** What was done under each name, as an answer. */
export const installAnswer = ({ binDir, names, network, notes }: Installation): Answer => ({
  json: {
    version,
    commit,
    binDir,
    programs: names.map(({ place, action }) => ({
      name: place.name,
      path: place.path,
      action,
      previous: place.occupant,
      ...(place.target !== undefined && { target: place.target }),
    })),
    ...(network && { network: { file: network.path, written: network.staged !== 'unchanged' } }),
    notes,
  },
  text: style =>
    formatTable(
      [{ title: 'NAME' }, { title: 'ACTION' }, { title: 'WAS' }, { title: 'PATH' }],
      names.map(({ place, action }) => [place.name, paint(action, style), previousText(place), place.path]),
      style,
    ) + (network ? networkText(network) : ''),
  notes,
})
