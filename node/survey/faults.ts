/**
 * Every fault that "kubenet doctor" can name, by its code: the one table of them, which docs/doctor.md prints. A code is
 * for scripts, tickets and pages: it never changes its meaning, and a code that is not used any more is given to no
 * other fault.
 */
import { containerFaults } from './container-faults'
import type { Fault } from './fault'
import { hostFaults } from './host-faults'
import { kubeletFaults } from './kubelet-faults'

// KN0090 to KN0099 are for what kubelet's own kubenet leaves on a node.
const table = { ...hostFaults, ...containerFaults, ...kubeletFaults }

/** "KN0013" */
export type FaultCode = keyof typeof table

/** Short names of the survey's findings, which never change either. */
export type FindingKind = Extract<(typeof table)[FaultCode]['kind'], string>

/** All faults by their codes. */
export const faults: Readonly<Record<FaultCode, Fault>> = table

const codes = (Object.keys(table) as FaultCode[]).sort()

const codeByKind = new Map<string | undefined, FaultCode>(codes.map(code => [faults[code].kind, code]))

/** The code of a finding of the survey. */
export const codeOf = (kind: FindingKind): FaultCode => {
  const code = codeByKind.get(kind)
  if (!code) throw new Error(`no fault is called ${kind}`)
  return code
}

/** The findings that belong to one check. */
export const kindsOf = (check: string): FindingKind[] =>
  codes.flatMap(code =>
    faults[code].check === check ? ((faults[code].kind as FindingKind | undefined) ?? []) : [],
  )
