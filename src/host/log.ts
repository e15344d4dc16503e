import { closeSync, constants, fstatSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { platform } from '#platform'
import { printableLines } from './output'

/** Prints a warning on stderr: stdout is for the result alone. Foreign words in it control no terminal. */
export const warn = (text: string): void => {
  try {
    writeSync(2, `${printableLines(text)}\n`)
  } catch {
    // A runtime that closed stderr does not want to hear it.
  }
}

/** Where calls are logged, and whether those that succeed are: "error" writes only the failed ones. */
export type LogTarget = { readonly file: string; readonly level: 'error' | 'info' | 'debug' }

/** A log of this many bytes becomes the old one, of which there is one. */
export const maxLogBytes = 8 * 1024 * 1024

/** Where the lines before those of a log are. */
export const oldLogOf = (file: string): string => `${file}.1`

/** <sys/file.h> */
const LOCK_EX = 2
const LOCK_NB = 4

/**
 * Makes the open log the old one. Many calls may find it full at once: who has its lock looks whether another was
 * faster, who has not goes on with the file it has open, be that the old one by now.
 */
const rotate = (file: string, fd: number): boolean => {
  if (platform.libc.flock(fd, LOCK_EX | LOCK_NB) < 0) return false
  const { dev, ino } = fstatSync(fd)
  const named = statSync(file, { throwIfNoEntry: false })
  if (named?.ino === ino && named.dev === dev) renameSync(file, oldLogOf(file))
  return true
}

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants

const openLog = (file: string): number => {
  // A user who can write in the log's folder must neither lead root to another file nor make it wait for a pipe's
  // reader.
  const open = () => openSync(file, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0o600)
  const fd = open()
  const stat = fstatSync(fd)
  if (!stat.isFile() || stat.size < maxLogBytes || !rotate(file, fd)) return fd
  closeSync(fd)
  return open()
}

/**
 * Appends one JSON line to the log, which with the old one beside it stays below 16 MiB or so. A failure to write is a
 * warning on stderr and changes nothing else.
 */
export const appendLog = (target: LogTarget, entry: Record<string, unknown>): void => {
  const line = `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`
  try {
    const fd = openLog(target.file)
    try {
      // One write(2), so that lines of several processes do not mix.
      writeSync(fd, line)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    warn(`log file "${target.file}": ${error instanceof Error ? error.message : error}`)
  }
}
