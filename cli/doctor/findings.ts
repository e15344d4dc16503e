/** The faults that a survey found, as lines of the doctor: one check for each kind of object. */

import { kindsOf } from '../../node/survey/faults'
import { describeOwner, type Finding } from '../../node/survey/finding'
import type { Survey } from '../../node/survey/survey'
import { containerWithPod } from '../../src/attachment/attachment'
import { isPrivileged } from '../frame/networks'
import { count } from '../frame/units'
import { type Check, type Diagnosis, fault, notSeen, orOk } from './diagnosis'

type Subject = {
  readonly check: string
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
    well: () => 'every bridge in use is up and has its gateway',
  },
  {
    check: 'leases',
    well: leasesText,
  },
  {
    check: 'interfaces',
    well: survey => `${count(running(survey), 'container interface')}, each connected to its bridge`,
  },
  {
    check: 'routes',
    well: () => 'containers have their routes and the right neighbours',
  },
  {
    check: 'mtu',
    well: () => 'containers have the MTU of their bridge',
  },
  {
    check: 'rules',
    well: () => 'every container has its rules, and no rule is left of others',
  },
  {
    check: 'host ports',
    well: ({ attachments }) =>
      `${count(new Set(attachments.flatMap(({ ports }) => ports.map(({ hostPort }) => hostPort))).size, 'host port')}, each led to one container`,
  },
  {
    check: 'rates',
    well: () => 'limits are as requested, and no ifb is left over',
  },
]

/** Findings that differ in their object alone share one line. */
const sameButObject = ({ code, owner, network, cause, remedy, repair }: Finding): string =>
  JSON.stringify([code, owner, network, cause, remedy, repair])

const lineOf = (findings: readonly [Finding, ...Finding[]]): Diagnosis => {
  const [{ code, owner, cause, remedy, repair }] = findings
  const objects = [...new Set(findings.map(({ object }) => object))].join(', ')
  const whose = owner ? ` of ${describeOwner(owner)}` : ''
  return fault(code, { says: `${objects}${whose}: ${cause}`, remedy, repair, findings })
}

const linesOf = (findings: readonly Finding[]): Diagnosis[] => {
  const groups = new Map<string, [Finding, ...Finding[]]>()
  for (const finding of findings) {
    const group = groups.get(sameButObject(finding))
    if (group) group.push(finding)
    else groups.set(sameButObject(finding), [finding])
  }
  return [...groups.values()].map(lineOf)
}

/** The checks that ask the survey. */
export const findingChecks: readonly Check[] = subjects.map(({ check, well }): Check => {
  const kinds = kindsOf(check)
  return ({ survey }) => {
    const lines = linesOf(survey.findings.filter(({ what }) => kinds.includes(what)))
    // Of what only root can see nothing is found, and nothing is well.
    if (lines.length === 0 && !isPrivileged()) return [notSeen(check, 'only root sees all of it')]
    return orOk(lines, check, well(survey))
  }
})
