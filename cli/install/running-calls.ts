/** Calls of plugins that are under way: what they make cannot be seen before they have come to an end. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { CliError, ExitCode } from '../../node/command/failure'
import { pause, throwIfInterrupted } from '../../src/host/interrupt'

/** An ADD waits for each of its locks for 5 s at most, and there are a few of them. */
const patienceMs = 20_000

const pollMs = 50

const isSameFolder = (path: string, folder: string): boolean => {
  try {
    const [a, b] = [statSync(path), statSync(folder)]
    return a.dev === b.dev && a.ino === b.ino
  } catch {
    return false // no such folder
  }
}

/** The environment of a process; nothing if it has ended. */
const environmentOf = (pid: string): string[] => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  } catch {
    return []
  }
}

/** Does the process do a call that may look for plugins in the folder? */
const isCall = (pid: string, folder: string): boolean => {
  const environment = environmentOf(pid)
  const path = environment.find(entry => entry.startsWith('CNI_PATH='))?.slice('CNI_PATH='.length)
  return (
    path !== undefined &&
    environment.some(entry => /^CNI_COMMAND=./.test(entry)) &&
    path.split(':').some(entry => isSameFolder(entry, folder))
  )
}

const callsIn = (folder: string): string[] =>
  readdirSync('/proc').filter(
    name => /^\d+$/.test(name) && Number(name) !== process.pid && isCall(name, folder),
  )

/** Waits until no plugin of the folder is running; throws if one is for long. */
export const waitForCalls = async (folder: string): Promise<void> => {
  const end = performance.now() + patienceMs
  for (let calls = callsIn(folder); calls.length > 0; calls = callsIn(folder)) {
    throwIfInterrupted('waiting for calls of plugins')
    if (performance.now() > end)
      throw new CliError(
        ExitCode.failed,
        `plugins of ${folder} are being called, for ${patienceMs / 1000} s now: process ${calls.join(', ')}`,
        'what they do is not known before they end: wait for them, and try again',
      )
    await pause(pollMs) // nothing announces the end of another's process
  }
}
