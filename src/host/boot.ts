import { readFileSync } from 'node:fs'

/** The identity of this boot, a UUID; every boot has another. */
export const readBootID = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
