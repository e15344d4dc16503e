import { type Answer, command } from '../../node/command/command'
import { failureOf, formatFailure } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import { flag, text } from '../../node/command/option'
import { type Places, placeOptions, placesOf } from '../../node/command/places'
import { checkFile } from '../frame/config-check/check'
import { requireNetworkAdmin } from '../frame/networks'
import { Progress, withProgress } from '../frame/progress'
import { readSurvey } from '../frame/survey'
import { agentChecks } from './agent-process'
import type { Check, Diagnosis, Patient } from './diagnosis'
import { filterChecks } from './filter'
import { findingChecks } from './findings'
import { folderChecks } from './folders'
import { hostChecks, surveyChecks } from './host'
import { interfaceChecks } from './interface-sysctls'
import { kernelChecks } from './kernel'
import { kubeletChecks } from './kubelet'
import { networkChecks } from './networks'
import { probing } from './probe'
import { carryOut, describeRepair, distinctRepairs } from './repair'
import { type Fixed, reportAnswer } from './report'
import { rangeChecks, routeChecks } from './routes'
import { sysctlChecks } from './sysctls'

/** The checks that look, in the order their lines are printed. */
const looking: readonly Check[] = [
  ...surveyChecks,
  ...kernelChecks,
  ...sysctlChecks,
  ...interfaceChecks,
  ...routeChecks,
  ...filterChecks,
  ...networkChecks,
  ...folderChecks,
  ...rangeChecks,
  ...agentChecks,
  ...kubeletChecks,
  ...hostChecks,
  ...findingChecks,
]

const examine = (patient: Patient, checks: readonly Check[]): Promise<Diagnosis[]> =>
  withProgress(patient.io, 'examining the node', async tell => {
    const lines: Diagnosis[] = []
    for (const [at, check] of checks.entries()) {
      tell(`examining the node: check ${at + 1} of ${checks.length}`)
      lines.push(...(await check(patient)))
    }
    return lines
  })

const patientAt = async (places: Places, io: CliIo): Promise<Patient> => ({
  survey: await readSurvey(places, io),
  places,
  io,
})

/** Carries out every repair that the lines have; one that fails does not keep the others from being tried. */
const fix = async (lines: readonly Diagnosis[], patient: Patient): Promise<Fixed[]> => {
  const repairs = distinctRepairs(lines.flatMap(({ repair }) => repair ?? []))
  const progress = new Progress(patient.io)
  const fixed: Fixed[] = []
  for (const repair of repairs) {
    progress.tick(() => `repairing: ${fixed.length} of ${repairs.length}`)
    const text = describeRepair(repair)
    try {
      if (await carryOut(repair, patient)) fixed.push({ text, failed: '' })
    } catch (error) {
      fixed.push({ text, failed: formatFailure(failureOf(error)) })
    }
  }
  return fixed
}

export const doctor = command({
  name: 'doctor',
  group: 'Look at a node',
  summary: 'find what is wrong with this node, and the remedies',
  about: [
    'Checks the kernel, sysctls, packet filters and networks, and compares leases, namespaces, ' +
      'interfaces, rules, host ports and rates with each other. Each line is ok, warn, fail or ' +
      'unknown, with the remedy. Each fault has a code, which docs/doctor.md explains.',
    '--fix sets sysctls, repairs veths of running containers, and calls DEL for containers that have ' +
      'provably ended. Then it checks again.',
    'Exits with 1 if a line is fail, and with 4 if none is fail and something could not be checked.',
  ],
  options: {
    file: text('file', 'check this file of a network, as "kubenet config --check" does', {
      completes: 'file',
    }),
    fix: flag('apply repairs that cannot affect running containers'),
    probe: flag('also try all networks with two new containers, as "kubenet test" does'),
    ...placeOptions,
  },
  examples: [
    { line: 'kubenet doctor', does: 'check this node' },
    {
      line: 'kubenet doctor --json | jq -r ".lines[] | select(.status == \\"fail\\") | .says"',
      does: 'only failures',
    },
    { line: 'kubenet doctor --fix', does: 'clean up after a crash' },
    { line: 'kubenet doctor --probe', does: 'try the networks with real packets too' },
  ],
  run: async ({ options, io }): Promise<Answer> => {
    const places = placesOf(options, io)
    if (options.file !== undefined) return checkFile(options.file, places, io)
    if (options.fix || options.probe) requireNetworkAdmin()
    const checks = options.probe ? [...looking, probing] : looking
    const patient = await patientAt(places, io)
    if (!options.fix) return reportAnswer({ lines: await examine(patient, checks), fixed: [] })
    const lines = await examine(patient, looking)
    const fixed = await fix(lines, patient)
    const isSame = fixed.length === 0 && !options.probe
    const after = isSame ? lines : await examine(await patientAt(places, io), checks)
    return reportAnswer({ lines: after, fixed })
  },
})
