/**
 * The ports of the host that are taken, as empty files that no two owners share:
 *
 *   /run/kubenet-cni/hostports/claims/tcp-8080/any4@<owner's key>
 *   /run/kubenet-cni/hostports/claims/udp-53/192.0.2.1@<owner's key>
 *
 * A claim without its holder is "tcp-8080/any4": protocol, port, and one address or all of a family.
 */
import { closeSync, constants, mkdirSync, openSync, rmdirSync, unlinkSync } from 'node:fs'
import { familyOf, formatClaim, isEveryAddress, parseClaim } from '../../src/attachment/host-ports'
import { ignoringAbsence, namesIn } from './records'

const folderOf = (folder: string, claim: string): string => `${folder}/claims/${claim.split('/')[0]}`

const fileOf = (folder: string, claim: string, key: string): string => `${folder}/claims/${claim}@${key}`

/**
 * The claims of others on the same port that overlap with `claim`: for the same address, or one of them for all of
 * the family.
 */
export const rivalsOf = (folder: string, claim: string, key: string): { claim: string; holder: string }[] => {
  const { protocol, hostPort, where } = parseClaim(claim)
  return namesIn(folderOf(folder, claim)).flatMap(name => {
    const [other = '', holder = ''] = name.split('@')
    const overlaps = other === where || isEveryAddress(other) || isEveryAddress(where)
    if (holder === key || familyOf(other) !== familyOf(where) || !overlaps) return []
    return [{ claim: formatClaim(protocol, hostPort, other), holder }]
  })
}

/** Notes that an owner has the port. */
export const takeClaim = (folder: string, claim: string, key: string): void => {
  mkdirSync(folderOf(folder, claim), { recursive: true, mode: 0o700 })
  const flags = constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW
  closeSync(openSync(fileOf(folder, claim, key), flags, 0o600))
}

/** Notes that an owner has it no more. Returns whether another one may have the port. */
export const dropClaim = (folder: string, claim: string, key: string): boolean => {
  let isShared = true
  ignoringAbsence(() => unlinkSync(fileOf(folder, claim, key)))
  ignoringAbsence(() => {
    rmdirSync(folderOf(folder, claim))
    isShared = false
  })
  return isShared
}
