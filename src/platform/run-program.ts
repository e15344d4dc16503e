/** Running programs beside each other, and beside timers and requests: where a process lives for more than one call. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { type ProgramResult, type RunOptions, timeLimitError } from './platform'

/** Kills a process group, if there is still one. */
const killGroup = (leader: number | undefined): void => {
  try {
    if (leader) process.kill(-leader, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

/** `platform.run`. */
export const run = (
  argv: readonly [string, ...string[]],
  { env, stdin = '', limit }: RunOptions,
): Promise<ProgramResult> =>
  new Promise((resolve, reject) => {
    const [program, ...args] = argv
    // With a limit in a process group of its own, which a signal reaches as a whole.
    const child = spawn(program, args, { env, stdio: 'pipe', detached: limit !== undefined })
    const late = () => {
      killGroup(child.pid)
      reject(timeLimitError(program, limit?.ms ?? 0))
    }
    const timer = limit && setTimeout(late, limit.ms) // the program may be anything, and never end
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (!limit || output[name].length < limit.outputBytes) output[name] += text
      })
    }
    child.on('error', error => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0), ...output })
    })
    // A program that ends without reading its input breaks the pipe; its exit code tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
  })
