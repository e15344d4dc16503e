/** The faults that a survey found, as lines of the doctor: one check for each kind of object. */

import { describeOwner, type Finding, type FindingKind } from '../../node/survey/finding'
import type { Survey } from '../../node/survey/survey'
import { containerWithPod } from '../../src/attachment/pod'
import { count } from '../frame/units'
import { type Check, type Diagnosis, orOk } from './diagnosis'

type Subject = {
  readonly check: string
  readonly kinds: readonly FindingKind[]
  /** The line if nothing was found. */
  readonly well: (survey: Survey) => string
}

const running = ({ attachments }: Survey): number =>
  attachments.filter(({ state }) => state === 'running').length

const leasesText = ({ readings, attachments }: Survey): string => {
  const doubtful = attachments.filter(({ state, leases }) => state === 'unknown' && leases.length > 0)
  const [first] = doubtful
  const doubt = first
    ? `; ${count(doubtful.length, 'container')} may have ended, first ${containerWithPod(first)}: ${first.why}`
    : ''
  return `${count(readings.leases.length, 'lease')}, none of a container that is gone${doubt}`
}

const subjects: readonly Subject[] = [
  {
    check: 'bridges',
    kinds: ['bridge-down', 'bridge-missing', 'bridge-without-gateway'],
    well: () => 'every bridge in use is up and has its gateway',
  },
  {
    check: 'leases',
    kinds: [
      'address-missing',
      'duplicate-address',
      'lease-torn',
      'lease-without-pod',
      'pod-without-lease',
      'cache-without-pod',
    ],
    well: leasesText,
  },
  {
    check: 'interfaces',
    kinds: [
      'hairpin-off',
      'interface-down',
      'pod-without-interface',
      'veth-half-made',
      'veth-of-nobody',
      'veth-off-bridge',
    ],
    well: survey => `${count(running(survey), 'container interface')}, each connected to its bridge`,
  },
  {
    check: 'mtu',
    kinds: ['mtu-mismatch'],
    well: () => 'containers have the MTU of their bridge',
  },
  {
    check: 'rules',
    kinds: [
      'element-astray',
      'element-missing',
      'element-without-pod',
      'rule-missing',
      'rule-without-pod',
      'ruleset-missing',
    ],
    well: () => 'every container has its rules, and no rule is left of others',
  },
  {
    check: 'host ports',
    kinds: ['claim-without-pod', 'port-conflict', 'port-without-rule'],
    well: ({ attachments }) =>
      `${count(new Set(attachments.flatMap(({ ports }) => ports.map(({ hostPort }) => hostPort))).size, 'host port')}, each led to one container`,
  },
  {
    check: 'rates',
    kinds: ['ifb-without-pod', 'limit-missing'],
    well: () => 'limits are as requested, and no ifb is left over',
  },
]

/** Findings that differ in their object alone are told of in one line. */
const sameButObject = ({ severity, owner, network, cause, remedy, repair }: Finding): string =>
  JSON.stringify([severity, owner, network, cause, remedy, repair])

const lineOf = (check: string, findings: readonly [Finding, ...Finding[]]): Diagnosis => {
  const [{ severity, owner, cause, remedy, repair }] = findings
  const objects = [...new Set(findings.map(({ object }) => object))].join(', ')
  const whose = owner ? ` of ${describeOwner(owner)}` : ''
  return { status: severity, check, says: `${objects}${whose}: ${cause}`, remedy, repair, findings }
}

const linesOf = (check: string, findings: readonly Finding[]): Diagnosis[] => {
  const groups = new Map<string, [Finding, ...Finding[]]>()
  for (const finding of findings) {
    const group = groups.get(sameButObject(finding))
    if (group) group.push(finding)
    else groups.set(sameButObject(finding), [finding])
  }
  return [...groups.values()].map(group => lineOf(check, group))
}

/** The checks that ask the survey. */
export const findingChecks: readonly Check[] = subjects.map(
  ({ check, kinds, well }): Check =>
    ({ survey }) =>
      orOk(
        linesOf(
          check,
          survey.findings.filter(({ what }) => kinds.includes(what)),
        ),
        check,
        well(survey),
      ),
)
