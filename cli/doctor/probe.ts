/** The networks, tried with containers made for it: what no look at the node can prove. */
import { CliError } from '../../node/command/failure'
import { requirePlugins } from '../frame/networks'
import { hasPods, probeNetworks, type Tested } from '../frame/probe'
import { count } from '../frame/units'
import { type Check, type Diagnosis, fault, notSeen, ok } from './diagnosis'

const check = 'probe'

const linesOf = ({ network, failure, probes }: Tested): Diagnosis[] => {
  const remedy = `the lines above may name the reason; "kubenet test ${network}" tries it again`
  if (failure)
    return [fault('KN0073', { says: `network "${network}" takes no new container: ${failure}`, remedy })]
  const failed = probes.filter(({ outcome }) => outcome === 'fails')
  if (failed.length > 0)
    return failed.map(({ probe, family, details }) =>
      fault('KN0073', { says: `network "${network}", ${probe}, IPv${family}: ${details}`, remedy }),
    )
  const unproven = probes.filter(({ outcome }) => outcome === 'unknown')
  const doubt = unproven.map(({ probe, family }) => `${probe}, IPv${family}`).join('; ')
  const works = probes.filter(({ outcome }) => outcome === 'works').length
  const says = `network "${network}": ${count(works, 'probe')} arrived`
  return [ok(check, doubt ? `${says}; not proven, as the node gets no answer either: ${doubt}` : says)]
}

/** Attaches two containers to each network and sends packets between them, the node and what is beyond it. */
export const probing: Check = async ({ survey, places, io }) => {
  const lists = survey.readings.lists.filter(hasPods)
  try {
    for (const list of lists) requirePlugins(list, places)
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return [notSeen(check, error.message, 'see the lines of "plugins"')]
  }
  return (await probeNetworks(lists, places, io)).flatMap(linesOf)
}
