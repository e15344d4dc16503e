/** The folders that a node writes to: for leases, records and networks. */
import { existsSync, realpathSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Mount, mountOf, readMounts } from '../../node/mounts'
import { hostportsFolder } from '../../src/attachment/host-ports'
import { usualDataDir } from '../../src/attachment/lease'
import { type Check, type Diagnosis, fault, ok } from './diagnosis'

/** A folder that is not there yet will be made in the first one above it that is. */
const existing = (path: string): string => {
  let found = path
  while (!existsSync(found) && found !== '/') found = dirname(found)
  return realpathSync(found)
}

const remount = ({ point }: Mount, option: string): string => `mount -o remount,${option} ${point}`

/** What one more lease takes: a file of a block. */
const fullness = (path: string): Diagnosis[] => {
  const { bavail, ffree, files } = statfsSync(path)
  if (bavail > 0 && (files === 0 || ffree > 0)) return []
  const what = bavail > 0 ? 'has no inode left' : 'is full'
  return [
    fault('KN0068', {
      says: `the disk of ${path} ${what}: no container can get an address`,
      remedy: `make room: "df -h ${path}" and "df -i ${path}" show how much there is`,
    }),
  ]
}

const folders: Check = ({ survey, places }) => {
  const mounts = readMounts()
  const dataDirs = survey.readings.networks.flatMap(({ ipam }) => ipam?.dataDir ?? [])
  const state = new Set([usualDataDir, ...dataDirs, hostportsFolder, places.cacheDir].map(existing))
  const isReadOnly = (path: string) => mountOf(path, mounts)?.options.has('ro')
  // One line for each file system.
  const byMount = new Map([...state].map(path => [mountOf(path, mounts)?.point ?? path, path]))
  const lines = [...byMount.values()].flatMap((path): Diagnosis[] => {
    const mount = mountOf(path, mounts)
    if (!mount?.options.has('ro')) return fullness(path)
    const says = `${path} is on a read-only file system: no container can get an address`
    return [fault('KN0069', { says, remedy: remount(mount, 'rw') })]
  })
  const conf = existing(places.confDir)
  const mount = mountOf(conf, mounts)
  if (mount && isReadOnly(conf)) {
    const says = `${conf} is on a read-only file system: neither kubenet nor its agent can write a network`
    lines.push(fault('KN0070', { says, remedy: remount(mount, 'rw') }))
  }
  return lines.length > 0 ? lines : [ok('folders', 'leases and networks can be written')]
}

export const folderChecks: readonly Check[] = [folders]
