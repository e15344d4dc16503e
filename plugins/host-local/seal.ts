/**
 * A folder's modification time as a seal. A command that leaves a folder in order sets it to a time that no clock
 * shows; whoever changes the folder afterwards, the reference, an administrator or a command that was killed half-way,
 * breaks the seal without knowing it. The time depends on the boot, so that no seal outlives one or holds on another
 * host that shares the folder.
 */
import { statSync, utimesSync } from 'node:fs'

/** 2000-01-01T00:00:00Z, in seconds since the epoch. */
const earliest = 946_684_800

/** The seal of a boot, in seconds since the epoch: some second of the years 2000 to 2008. */
const sealOf = (bootID: string): number => earliest + Number.parseInt(bootID.slice(0, 7), 16)

/** Has the folder been left alone since `seal`? */
export const isSealed = (folder: string, bootID: string): boolean => {
  try {
    return statSync(folder).mtimeMs === sealOf(bootID) * 1000
  } catch {
    return false // it is not there, or out of reach
  }
}

/** Seals a folder until the next change of an entry in it. */
export const seal = (folder: string, bootID: string): void =>
  utimesSync(folder, sealOf(bootID), sealOf(bootID))
