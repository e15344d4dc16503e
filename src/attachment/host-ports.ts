/**
 * The owners of host ports, as portmap and kubenet record them: a record for each attachment, and a claim for each of
 * its ports. The record is removed after the rules: as long as it is there, connections may still be led to the
 * attachment's addresses.
 */
import { lstatSync } from 'node:fs'
import { type Attachment, keyOf } from './attachment'

/** The folder of the records, of the claims and of the lock that guards both. */
export const hostportsFolder = '/run/kubenet-cni/hostports'

/** The file of an owner's record. */
export const ownerPath = (folder: string, key: string): string => `${folder}/owners/${key}`

const nothing = ['ENOENT', 'ENOTDIR']

/**
 * Are host ports of the attachment on record? Also where that cannot be looked at: another container gets its address
 * next.
 */
export const hasHostPorts = (id: Attachment, folder: string = hostportsFolder): boolean => {
  try {
    lstatSync(ownerPath(folder, keyOf(id)))
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && nothing.includes(String(error.code)))
  }
}

/**
 * A claim, as the names of files have it and as records list it: "tcp-8080/any4", "udp-53/192.0.2.1". Protocol, port, and
 * one address of the host or all of a family.
 */
export const formatClaim = (protocol: string, hostPort: number, where: string): string =>
  `${protocol}-${hostPort}/${where}`

/** The protocol, the port and the place of a claim. */
export const parseClaim = (claim: string): { protocol: string; hostPort: number; where: string } => {
  const [folder = '', where = ''] = claim.split('/')
  const [protocol = '', port = ''] = folder.split('-')
  return { protocol, hostPort: Number(port), where }
}

/** The place of a claim of every address of a family. */
export const everyAddress = (family: 4 | 6): string => `any${family}`

/** Is it for all addresses of a family? */
export const isEveryAddress = (where: string): boolean =>
  where === everyAddress(4) || where === everyAddress(6)

/** The family of a claim's place: "any4", "any6" or an address. */
export const familyOf = (where: string): 4 | 6 => (where === everyAddress(6) || where.includes(':') ? 6 : 4)
