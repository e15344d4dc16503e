import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { platform } from '#platform'
import { command } from '../node/command/command'
import { ExitCode } from '../node/command/failure'
import type { CliIo } from '../node/command/io'
import { placeOptions, placesOf } from '../node/command/places'
import type { Style } from '../node/command/style'
import { CniError } from '../src/cni/error'
import type { PluginExec } from '../src/cni/exec-plugin'
import { isSpecVersion, specVersions } from '../src/cni/version'
import type { NetworkConfigList } from '../src/runtime/conf-list'
import { listPlugins, type PluginPath } from '../src/runtime/plugin-path'
import { probePlugin } from '../src/runtime/probe'
import type { RuntimeOptions } from '../src/runtime/run-plugin'
import { networksOf, requiredTypes, runtimeOptions } from './frame/networks'
import { flavourOf } from './frame/program-file'
import { withProgress } from './frame/progress'
import { formatTable } from './frame/table'

/**
 * The origin of a plugin: ours with its runtime inside or for Node.js, the reference's, another project's, or no plugin
 * at all.
 */
type PluginKind = 'standalone' | 'node' | 'reference' | 'other' | 'none'

type ProbedPlugin = PluginPath & {
  readonly kind: PluginKind
  /** Its own version, as it reports it; empty if it does not. */
  readonly version: string
  /** The versions of the CNI specification it speaks, as it lists them. */
  readonly cniVersions: readonly string[]
  /** Why it gave no list; empty if it did. */
  readonly failure: string
}

/** The plugins of github.com/containernetworking/plugins. */
const referenceNames = new Set(
  (
    'bandwidth bridge dhcp dummy firewall host-device host-local ipvlan loopback macvlan portmap ptp sbr static tap ' +
    'tuning vlan vrf'
  ).split(' '),
)

/** "CNI bridge plugin v1.6.2", and ours with the project's name behind it. */
const aboutForm = /^CNI (\S+) plugin (.*?)( \(kubenet-cni\))?$/m

/** The origin of a plugin, by its output when it is called without a command. */
export const kindOf = ({ name, path }: PluginPath, about: string): Pick<ProbedPlugin, 'kind' | 'version'> => {
  const [, , version = '', ours] = aboutForm.exec(about) ?? []
  if (ours) return { kind: flavourOf(path) ?? 'other', version }
  return { kind: version && referenceNames.has(name) ? 'reference' : 'other', version }
}

const withoutCni = (env: RuntimeOptions['env']): Record<string, string> => {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && !name.startsWith('CNI_')) kept[name] = value
  return kept
}

/** More than any answer has; what prints without end is cut off there. */
const outputBytes = 1024 * 1024

/** Runs programs that may be anything: each is killed, with all it started, when it has not ended after `ms`. */
export const limitedExec =
  (ms: number): PluginExec =>
  (path, env, stdin) =>
    platform.run([path], { env, stdin, limit: { ms, outputBytes } })

/** Probes one executable. Never throws: what it does instead of answering is the answer's failure. */
export const probe = async (
  plugin: PluginPath,
  { options, exec }: { options: RuntimeOptions; exec: PluginExec },
): Promise<ProbedPlugin> => {
  try {
    const { versions } = await probePlugin(plugin, { ...options, exec })
    // It is a plugin, so it may be called without a command too: that does nothing.
    const { stderr } = await exec(plugin.path, withoutCni(options.env), '')
    return { ...plugin, ...kindOf(plugin, stderr), cniVersions: versions, failure: '' }
  } catch (error) {
    const { message } = CniError.from(error)
    const failure = message.replace(`VERSION of ${plugin.path}: `, '')
    return { ...plugin, kind: 'none', version: '', cniVersions: [], failure }
  }
}

/** As many at a time as do not make a small node slow. */
const atOnce = 4

/** Does `work` for each entry, some at a time; the answers have the order of the entries. */
export const mapSome = async <T, U>(entries: readonly T[], work: (entry: T) => Promise<U>): Promise<U[]> => {
  const answers: U[] = []
  const queue = entries.entries()
  const worker = async () => {
    for (const [index, entry] of queue) answers[index] = await work(entry)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, entries.length) }, worker))
  return answers
}

/** Versions as a range where none of those known is left out between them: "0.1.0-1.0.0". */
export const formatVersions = (versions: readonly string[]): string => {
  const known = versions.filter(isSpecVersion)
  const [first] = specVersions.filter(version => known.includes(version))
  const last = specVersions.findLast(version => known.includes(version))
  if (!first || !last || known.length !== versions.length || first === last) return versions.join(' ')
  const between = specVersions.slice(specVersions.indexOf(first), specVersions.indexOf(last) + 1)
  return between.every(version => known.includes(version)) ? `${first}-${last}` : versions.join(' ')
}

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
