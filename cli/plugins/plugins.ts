import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { command } from '../../node/command/command'
import { ExitCode } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import { placeOptions, placesOf } from '../../node/command/places'
import type { Style } from '../../node/command/style'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { listPlugins } from '../../src/runtime/plugin-path'
import { networksOf, requiredTypes, runtimeOptions } from '../frame/networks'
import { withProgress } from '../frame/progress'
import { formatTable } from '../frame/table'
import { formatVersions, limitedExec, mapSome, type PluginKind, type ProbedPlugin, probe } from './probe'

/** A plugin answers VERSION in milliseconds. */
const limitMs = 2000

/** A plugin that networks name and no folder has. */
type Missing = { readonly name: string; readonly networks: readonly string[] }

const missingOf = (networks: readonly NetworkConfigList[], found: readonly ProbedPlugin[]): Missing[] => {
  const present = new Set(found.filter(({ kind }) => kind !== 'none').map(({ name }) => name))
  const types = [...new Set(networks.flatMap(requiredTypes))].filter(type => !present.has(type))
  return types.map(name => ({
    name,
    networks: networks.filter(network => requiredTypes(network).includes(name)).map(network => network.name),
  }))
}

const isOurKind = (kind: PluginKind): boolean => kind === 'standalone' || kind === 'node'

/** The faults of our set of plugins in a folder: some of it is missing, or of another version. */
const setNotes = (found: readonly ProbedPlugin[], { programs }: CliIo): string[] => {
  const ours = found.filter(({ kind }) => isOurKind(kind))
  const folders = [...new Set(ours.map(({ path }) => dirname(path)))]
  return folders.flatMap(folder => {
    const absent = programs.filter(name => !existsSync(`${folder}/${name}`))
    const own = ours.filter(({ path }) => dirname(path) === folder)
    const versions = [...new Set(own.map(({ version, kind }) => `${version} (${kind})`))]
    const install = `"kubenet install --bin-dir ${folder}" completes it`
    return [
      ...(absent.length > 0
        ? [`${folder} has only some of our plugins; missing: ${absent.join(', ')}; ${install}`]
        : []),
      ...(versions.length > 1
        ? [`${folder} has ours in several versions: ${versions.join(', ')}; ${install}`]
        : []),
    ]
  })
}

const kindText = (kind: PluginKind, style: Style): string => {
  if (isOurKind(kind)) return style.green(`kubenet-cni, ${kind}`)
  return kind === 'none' ? style.dim('no plugin') : kind
}

const formatPlugins = (found: readonly ProbedPlugin[], missing: readonly Missing[], style: Style): string =>
  formatTable(
    [{ title: 'NAME' }, { title: 'KIND' }, { title: 'VERSION' }, { title: 'CNI' }, { title: 'PATH' }],
    [
      ...found.map(({ name, kind, version, cniVersions, path, failure }) => [
        name,
        kindText(kind, style),
        version || '-',
        formatVersions(cniVersions) || '-',
        failure ? `${path}: ${failure}` : path,
      ]),
      ...missing.map(({ name, networks }) => [
        name,
        style.red('missing'),
        '-',
        '-',
        `needed by ${networks.join(', ')}`,
      ]),
    ],
    style,
  )

export const plugins = command({
  name: 'plugins',
  group: 'Look at a node',
  summary: 'list the plugins of the node, and missing ones',
  about: [
    'Calls VERSION of every program in the plugin folders, for at most two seconds each. Exits with 3 ' +
      'if a network needs a missing plugin.',
  ],
  options: placeOptions,
  examples: [
    { line: 'kubenet plugins', does: 'list installed plugins and their origin' },
    { line: 'kubenet plugins --json | jq -r .missing[].name', does: 'names of missing plugins' },
  ],
  run: async ({ options, io }) => {
    const places = placesOf(options, io)
    const context = { options: runtimeOptions(places, io), exec: limitedExec(limitMs) }
    const paths = listPlugins(places.binDirs)
    const found = await withProgress(io, `asking ${paths.length} executables`, () =>
      mapSome(paths, plugin => probe(plugin, context)),
    )
    const missing = missingOf(existsSync(places.confDir) ? networksOf(places, io) : [], found)
    const notes = setNotes(found, io)
    if (found.length === 0) notes.push(`there is no executable in ${places.binDirs.join(':')}`)
    for (const { name, networks } of missing) {
      notes.push(
        `plugin "${name}" is missing, needed by ${networks.map(network => `"${network}"`).join(', ')}`,
      )
    }
    return {
      json: { binDirs: places.binDirs, plugins: found, missing, notes },
      text: style => formatPlugins(found, missing, style),
      notes,
      exitCode: missing.length > 0 ? ExitCode.notFound : ExitCode.done,
    }
  },
})
