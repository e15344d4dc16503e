import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Answer, type CliCall, command } from '../node/command/command'
import { CliError, ExitCode, failureOf, formatFailure, usageError } from '../node/command/failure'
import type { CliIo } from '../node/command/io'
import { denial, flag, text, value, withDefault } from '../node/command/option'
import { type Places, placeOptions, placesOf } from '../node/command/places'
import {
  confDirNotes,
  conflistName,
  conflistOf,
  formatConflist,
  referenceNotes,
  stageConflist,
} from '../node/conflist/conflist'
import { checkNetworkValues, networkOptions } from '../node/conflist/kubelet-flags'
import { commitAll } from '../node/conflist/staged-file'
import { describeHeld, strandedBy } from '../node/conflist/stranded'
import { applySysctls, bridgeIptables, dottedKey, planSysctls } from '../node/sysctls'
import { usualDataDir } from '../src/attachment/lease'
import { formatCidr } from '../src/ip/cidr'
import { type NetworkConfigList, parseConfList } from '../src/runtime/conf-list'
import { validateNetworkList } from '../src/runtime/probe'
import { ensureModule } from './frame/bridge-module'
import { checkFile } from './frame/config-check/check'
import { missingTypes, networksOf, runtimeOptions } from './frame/networks'
import { withListVersion } from './frame/runtimes'

/** The network plugins that kubelet knew, in the order it named them. */
const kubeletPlugins = ['cni', 'kubenet', 'noop'] as const

type KubeletPlugin = (typeof kubeletPlugins)[number]

/** kubelet's own name of the plugin that does nothing, and none at all, which meant it. */
const noopNames = ['', 'kubernetes.io/no-op']

const parsePlugin = (name: string): KubeletPlugin => {
  const found = kubeletPlugins.find(known => known === name)
  if (found) return found
  if (noopNames.includes(name)) return 'noop'
  const probed = kubeletPlugins.map(known => JSON.stringify(known)).join(', ')
  throw usageError(`network plugin ${JSON.stringify(name)} not found`, `the known plugins are ${probed}`)
}

const options = {
  networkPlugin: {
    ...withDefault(value('plugin', "kubelet's network plugin", parsePlugin), 'kubenet'),
    completes: kubeletPlugins,
  },
  ...networkOptions,
  ...placeOptions,
  check: text('file', 'check this file of a network, and write nothing', { completes: 'file' }),
  write: flag('write the network into its folder, or set the sysctl'),
  create: denial('do not create a missing folder'),
  force: flag('write a range that does not contain the addresses of running containers'),
}

type Call = CliCall<typeof options>

/** Throws if the file that is there gave addresses to running containers that the new ranges do not contain. */
const keepAddresses = ({ options: { name, podCidr, force } }: Call, { confDir, cacheDir }: Places): void => {
  if (force || !existsSync(`${confDir}/${conflistName}`)) return
  const stranded = strandedBy(podCidr, { network: name, dataDir: usualDataDir, cacheDir })
  if (stranded.length === 0) return
  throw new CliError(
    ExitCode.failed,
    `${confDir}/${conflistName} is unchanged: ${podCidr.map(formatCidr).join(',')} leaves out addresses of ` +
      `running containers, ${stranded.length} in all: ${describeHeld(stranded)}`,
    'delete these containers first, or use --force',
  )
}

const writeConflist = (call: Call, confDir: string, conflistText: string): Answer => {
  const { path, staged } = stageConflist({ confDir, text: conflistText, create: call.options.create })
  if (staged !== 'unchanged') commitAll([staged], [dirname(path)])
  const written = staged !== 'unchanged'
  return {
    json: { written, file: path },
    text: () => `${path} ${written ? 'is written' : 'is unchanged'}\n`,
  }
}

/** The parts that the node still lacks for the network to work. */
const missingNotes = (conflistText: string, { places, file }: { places: Places; file: string }): string[] =>
  missingTypes(parseConfList(conflistText, file), places).map(
    type => `plugin "${type}" is not in ${places.binDirs.join(':')}; "kubenet install" puts ours in place`,
  )

const configKubenet = async (call: Call): Promise<Answer> => {
  checkNetworkValues(call.options)
  const places = placesOf(call.options, call.io)
  const { values, notes: versionNotes } = await withListVersion(call.options, call.io)
  const conflist = conflistOf(values)
  const conflistText = formatConflist(conflist)
  const about = { networkPlugin: call.options.networkPlugin, config: conflist }
  const notes = [...versionNotes, ...referenceNotes(values)]
  if (!call.options.write) return { json: { ...about, written: false }, text: () => conflistText, notes }
  keepAddresses(call, places)
  const { json, text } = writeConflist(call, places.confDir, conflistText)
  const file = `${places.confDir}/${conflistName}`
  notes.push(...confDirNotes(places.confDir, conflist.name), ...missingNotes(conflistText, { places, file }))
  return { json: { ...about, ...json }, text, notes }
}

/** The first network whose plugins are there and speak its version; `notes` hear of those before it. */
const firstValid = async (places: Places, io: CliIo, notes: string[]): Promise<NetworkConfigList> => {
  for (const network of networksOf(places, io)) {
    try {
      await validateNetworkList(network, runtimeOptions(places, io))
      return network
    } catch (error) {
      notes.push(`${network.file} is skipped: ${formatFailure(failureOf(error))}`)
    }
  }
  throw new CliError(
    ExitCode.notFound,
    [`no valid network in ${places.confDir}`, ...notes].join('; '),
    '"kubenet config --network-plugin kubenet --write" makes one',
  )
}

/** kubelet's "cni": the default network is the first of the folder that is valid. */
const configCni = async ({ options: values, io }: Call): Promise<Answer> => {
  if (values.write)
    throw usageError('--network-plugin cni uses the networks in the folder: there is nothing to write')
  const notes: string[] = []
  const { name, file, cniVersion, text } = await firstValid(placesOf(values, io), io, notes)
  const config: unknown = JSON.parse(text)
  return {
    json: { networkPlugin: 'cni', network: name, file, cniVersion, config },
    text: () => `${JSON.stringify(config, null, 2)}\n`,
    notes: [...notes, `the default network is "${name}", of ${file}`],
  }
}

/** kubelet's "noop": bridged packets pass iptables, and nothing else. */
const configNoop = async ({ options: values, io }: Call): Promise<Answer> => {
  const module = await ensureModule(!values.write, io)
  const plan = planSysctls([bridgeIptables])
  if (values.write) applySysctls(plan)
  const [{ found, action } = { found: undefined, action: 'absent' }] = plan
  const key = dottedKey(bridgeIptables.key)
  const written = values.write && action === 'change'
  const state = action === 'keep' ? 'as it was' : `${written ? 'it was' : 'it is'} ${found ?? 'not there'}`
  return {
    json: { networkPlugin: 'noop', sysctl: key, value: bridgeIptables.value, found, written, module },
    text: () => `${key} = ${bridgeIptables.value} (${state})\n`,
    notes: values.write || action === 'keep' ? [] : ['nothing was changed; --write sets it'],
  }
}

const configurers: Record<KubeletPlugin, (call: Call) => Answer | Promise<Answer>> = {
  cni: configCni,
  kubenet: configKubenet,
  noop: configNoop,
}

export const config = command({
  name: 'config',
  group: 'Set up a node',
  summary: "print or write the network that kubelet's flags describe",
  about: [
    'Takes kubelet\'s network flags, which ended with Kubernetes 1.24. For "kubenet" it prints the ' +
      'network, for "cni" the default network, for "noop" one sysctl.',
    '--check reads a network file before it is used: its keys, its plugins, and ranges and names on this ' +
      'node. It exits with 1 if the network would not work.',
  ],
  options,
  examples: [
    { line: 'kubenet config --pod-cidr 10.244.1.0/24', does: 'as kubelet --network-plugin=kubenet did' },
    {
      line: 'kubenet config --pod-cidr 10.244.1.0/24,fd00:244:1::/64 --hairpin-mode hairpin-veth --write',
      does: 'dual stack, written to /etc/cni/net.d',
    },
    { line: 'kubenet config --reference --pod-cidr 10.244.1.0/24', does: 'for the reference plugins' },
    { line: 'kubenet config --network-plugin cni', does: 'show the network that pods get' },
    {
      line: 'kubenet config --check pods.conflist',
      does: 'find misspelt keys, overlaps and missing plugins',
    },
  ],
  run: call => {
    const { check, networkPlugin } = call.options
    if (check !== undefined) return checkFile(check, placesOf(call.options, call.io), call.io)
    return configurers[networkPlugin](call)
  },
})
