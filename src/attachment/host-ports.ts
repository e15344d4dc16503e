/**
 * Where portmap and kubenet note who has host ports, one file an attachment. The record is removed after the rules: as
 * long as it is there, connections may still be led to the attachment's addresses.
 */
import { lstatSync } from 'node:fs'
import { type Attachment, keyOf } from './attachment'

/** The folder of the records, of the claims and of the lock that guards both. */
export const hostportsFolder = '/run/kubenet-cni/hostports'

/** The file of an owner's record. */
export const ownerPath = (folder: string, key: string): string => `${folder}/owners/${key}`

const nothing = ['ENOENT', 'ENOTDIR']

/** Are host ports of the attachment on record? Also where that can't be looked at: somebody gets its address next. */
export const hasHostPorts = (id: Attachment, folder: string = hostportsFolder): boolean => {
  try {
    lstatSync(ownerPath(folder, keyOf(id)))
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && nothing.includes(String(error.code)))
  }
}
