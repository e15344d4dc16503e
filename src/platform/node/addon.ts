/**
 * The addon of calls.c, carried inside a single-file bundle. An addon can only be loaded from a file, so it is written to
 * one that has no name (O_TMPFILE) and is gone with the process; a folder mounted noexec is skipped.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import file from 'addon-file'

// <fcntl.h>: __O_TMPFILE | O_DIRECTORY. The second part is a different bit on arm64.
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY

const folders = ['/run', '/tmp', '/dev/shm', '/var/lib/cni', '/opt/cni/bin']

const loadFrom = (folder: string): NodeJS.Module => {
  const fd = openSync(folder, O_TMPFILE | constants.O_RDWR, 0o700)
  try {
    for (let written = 0; written < file.length; ) written += writeSync(fd, file, written)
    const target = { exports: {} } as NodeJS.Module
    process.dlopen(target, `/proc/self/fd/${fd}`)
    return target
  } finally {
    closeSync(fd)
  }
}

const load = (): NodeJS.Module => {
  const failures: string[] = []
  for (const folder of folders) {
    try {
      return loadFrom(folder)
    } catch (error) {
      failures.push(`${folder}: ${error instanceof Error ? error.message : error}`)
    }
  }
  throw new Error(
    `no folder can hold the addon for system calls (${failures.join('; ')}); mount one of them exec`,
  )
}

export = load().exports
