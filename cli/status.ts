import { command, optional } from '../node/command/command'
import { CliError, ExitCode, failureOf, formatFailure } from '../node/command/failure'
import { placeOptions, placesOf } from '../node/command/places'
import type { Style } from '../node/command/style'
import type { Finding } from '../node/survey/finding'
import type { Survey } from '../node/survey/survey'
import { atLeast } from '../src/cni/version'
import { statusNetworkList } from '../src/runtime/check'
import type { NetworkConfigList } from '../src/runtime/conf-list'
import { validateNetworkList } from '../src/runtime/probe'
import type { RuntimeOptions } from '../src/runtime/run-plugin'
import { networkNamed, networksOf, noNewPods, runtimeOptions } from './frame/networks'
import { findingJson, readSurvey } from './frame/survey'
import { formatTable } from './frame/table'

type Readiness = {
  readonly network: string
  readonly file: string
  readonly cniVersion: string
  readonly ready: boolean
  /** Why it is not; empty if it is. */
  readonly reason: string
  /** Were the plugins asked? Before CNI 1.1.0 there is no STATUS. */
  readonly asked: boolean
  /** What keeps the containers from working that it has. */
  readonly findings: readonly Finding[]
}

/** An ADD repairs bridge and rules, so that these keep no container from being attached. */
const findingsOn = (name: string, { findings }: Survey): Finding[] =>
  findings.filter(
    ({ owner, network, severity }) => owner === undefined && network === name && severity === 'fail',
  )

const readinessOf = async (
  network: NetworkConfigList,
  options: RuntimeOptions,
  survey: Survey,
): Promise<Readiness> => {
  const { name, file, cniVersion } = network
  const asked = atLeast(cniVersion, '1.1.0')
  const base = { network: name, file, cniVersion, asked, findings: findingsOn(name, survey) }
  try {
    await validateNetworkList(network, options)
    await statusNetworkList(network, options)
    const reason = noNewPods(network)
    return { ...base, ready: reason === '', reason }
  } catch (error) {
    return { ...base, ready: false, reason: formatFailure(failureOf(error)) }
  }
}

const formatReadiness = (rows: readonly Readiness[], style: Style): string => {
  const says = ({ asked, reason, findings }: Readiness) =>
    [
      reason || (asked ? '' : 'plugins found; STATUS needs 1.1.0'),
      ...findings.map(({ code, object, cause, remedy }) => `${code} ${object}: ${cause}; ${remedy}`),
    ]
      .filter(Boolean)
      .join('. ')
  return formatTable(
    [{ title: 'NETWORK' }, { title: 'CNI' }, { title: 'READY' }, { title: 'DETAILS' }],
    rows.map(row => [
      row.network,
      row.cniVersion,
      row.ready ? style.green('yes') : style.red('no'),
      says(row),
    ]),
    style,
  )
}

export const status = command({
  name: 'status',
  group: 'Look at a node',
  summary: 'show whether containers can be attached now',
  about: [
    'Calls VERSION of every plugin, and STATUS from CNI 1.1.0 on. Names what the running containers of a ' +
      'network lack: its bridge, gateway or rules. Exits with 1 for that too.',
  ],
  args: {
    network: optional('name of the network (default: all)', 'network'),
    netns: optional('not used, as in cnitool', 'netns'),
  },
  options: placeOptions,
  examples: [
    { line: 'kubenet status', does: 'all networks of the node' },
    { line: 'kubenet status pods --json | jq .networks[0].reason', does: 'why a network is not ready' },
  ],
  run: async ({ args, options, io }) => {
    const places = placesOf(options, io)
    const networks =
      args.network === undefined ? networksOf(places, io) : [networkNamed(args.network, places, io)]
    if (networks.length === 0) {
      throw new CliError(
        ExitCode.notFound,
        `no network in ${places.confDir}`,
        '"kubenet config --write" makes one',
      )
    }
    const survey = await readSurvey(places, io)
    const rows: Readiness[] = []
    for (const network of networks) rows.push(await readinessOf(network, runtimeOptions(places, io), survey))
    return {
      json: {
        confDir: places.confDir,
        networks: rows.map(row => ({ ...row, findings: row.findings.map(findingJson) })),
      },
      text: style => formatReadiness(rows, style),
      exitCode: rows.every(({ ready, findings }) => ready && findings.length === 0)
        ? ExitCode.done
        : ExitCode.failed,
    }
  },
})
