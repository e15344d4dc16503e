/** The node itself: what leases and records are judged by. */
import { readFileSync } from 'node:fs'
import { readBootID } from '../../src/host/boot'
import { readSysctl } from '../../src/host/sysctl'

/** This host, in this boot, at this moment. Times are in milliseconds since the epoch. */
export type Host = {
  readonly name: string
  readonly bootID: string
  readonly bootedAt: number
  readonly now: number
}

const uptimeMs = (): number => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000

export const readHost = (): Host => {
  const now = Date.now()
  return {
    name: readSysctl('kernel/hostname') ?? '',
    bootID: readBootID(),
    bootedAt: Math.round(now - uptimeMs()),
    now,
  }
}
