import { command, optional } from '../node/command/command'
import { CliError, ExitCode } from '../node/command/failure'
import { placeOptions, placesOf } from '../node/command/places'
import type { Style } from '../node/command/style'
import type { Probe } from '../node/probe/probe-network'
import { networkNamed, networksOf, requireNetworkAdmin, requirePlugins } from './frame/networks'
import { hasPods, isFine, probeNetworks, type Tested } from './frame/probe'
import { formatTable } from './frame/table'

const painted = (outcome: Probe['outcome'], style: Style): string => {
  if (outcome === 'works') return style.green(outcome)
  return outcome === 'fails' ? style.red(outcome) : style.dim(outcome)
}

const formatTested = (tested: readonly Tested[], style: Style): string => {
  const rows = tested.flatMap(({ network, failure, probes }) => [
    ...(failure ? [[network, 'attach two containers', '', style.red('fails'), failure]] : []),
    ...probes.map(({ probe, family, outcome, details }) => [
      network,
      probe,
      `IPv${family}`,
      painted(outcome, style),
      details,
    ]),
  ])
  const titles = ['NETWORK', 'PROBE', 'FAMILY', 'RESULT', 'DETAILS'].map(title => ({ title }))
  return formatTable(titles, rows, style)
}

export const test = command({
  name: 'test',
  group: 'Look at a node',
  summary: 'attach two containers to a network and try whether their packets arrive',
  about: [
    'Makes two network namespaces, attaches them as a runtime does, and deletes both at the end. Sends packets ' +
      'from pod to pod (also of the full MTU), to the gateway, the node, its default gateway and name server. ' +
      'Tries a host port, also from its own pod, and measures a rate limit.',
    'It tests new containers: their ADD repairs the bridge and the shared rules first. "kubenet doctor" ' +
      'checks running ones.',
    '"unknown" means that the node gets no reply there either. Exits with 1 if something fails.',
  ],
  args: { network: optional('name of the network (default: all)', 'network') },
  options: placeOptions,
  examples: [
    { line: 'kubenet test', does: 'try all networks of the node' },
    { line: 'kubenet test pods --json | jq .networks[0].probes', does: 'try one, for a program' },
  ],
  run: async ({ args: { network }, options, io }) => {
    const places = placesOf(options, io)
    const lists =
      network === undefined ? networksOf(places, io).filter(hasPods) : [networkNamed(network, places, io)]
    if (lists.length === 0) {
      const remedy = '"kubenet config --write" makes one'
      throw new CliError(ExitCode.notFound, `no network with containers in ${places.confDir}`, remedy)
    }
    for (const list of lists) requirePlugins(list, places)
    requireNetworkAdmin()
    const tested = await probeNetworks(lists, places, io)
    return {
      json: { networks: tested },
      text: style => formatTested(tested, style),
      exitCode: tested.every(isFine) ? ExitCode.done : ExitCode.failed,
    }
  },
})
