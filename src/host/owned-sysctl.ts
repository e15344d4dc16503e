/**
 * Sysctls that this program changed since the boot, a file for each: the value it found, and the one it set.
 *
 *   /run/kubenet-cni/sysctls/net%2Fipv4%2Fip_forward   "0\n1\n"
 *
 * So `kubenet uninstall --purge` can set them back. The files are advice: without one, a sysctl counts as another's.
 */
import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { errnoOf } from './errno'
import { readAdvice } from './plain-file'
import { readSysctl, writeSysctl } from './sysctl'

const folder = '/run/kubenet-cni/sysctls'

const fileOf = (key: string): string => `${folder}/${encodeURIComponent(key)}`

/** Notes the value before the last change: what is found after an earlier one is another program's. */
const note = (key: string, before: string, set: string): void => {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const flags = constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_WRONLY
    const fd = openSync(fileOf(key), flags, 0o600)
    try {
      writeSync(fd, `${before}\n${set}\n`)
    } finally {
      closeSync(fd)
    }
  } catch {
    // None can be made: containers need the sysctl all the same.
  }
}

/**
 * Sets a sysctl unless it has the value or is not there, and notes what it was. Says whether it changed anything. It is
 * written below `mounted`, as by `writeSysctl`.
 */
export const ownSysctl = (key: string, value: string, mounted?: string): boolean => {
  const found = readSysctl(key)
  if (found === undefined || found === value) return false
  writeSysctl(key, value, mounted)
  // A mounted folder may be another host's.
  if (mounted === undefined || readSysctl(key) === value) note(key, found, value)
  return true
}

/** Writes back what `ownSysctl` found, and removes the note: from now on the sysctl is another program's. */
export const giveBackSysctl = (key: string, before: string, mounted?: string): void => {
  writeSysctl(key, before, mounted)
  try {
    rmSync(fileOf(key), { force: true })
  } catch {
    // The folder is read-only.
  }
}

/** A sysctl that still has the value this program gave it. */
export type OwnedSysctl = { readonly key: string; readonly before: string; readonly value: string }

const namesIn = (path: string): string[] => {
  try {
    return readdirSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** The sysctls that this program changed and no other program changed since. */
export const ownedSysctls = (): OwnedSysctl[] =>
  namesIn(folder).flatMap(name => {
    const key = decodeURIComponent(name)
    const [before = '', value = ''] = (readAdvice(`${folder}/${name}`) ?? '').split('\n')
    return before !== '' && value !== '' && readSysctl(key) === value ? [{ key, before, value }] : []
  })
