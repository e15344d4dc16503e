/** Running programs beside each other, and beside timers and requests: for the command line, whose agent has all of them. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { ProgramResult, RunOptions } from '../platform'

/** `platform.run`. */
export const run = (argv: readonly [string, ...string[]], options: RunOptions): Promise<ProgramResult> =>
  new Promise((resolve, reject) => {
    const [program, ...args] = argv
    const child = spawn(program, args, { env: options.env, stdio: 'pipe' })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0), stdout, stderr })
    })
    // A program that ends without reading its input breaks the pipe; its exit code tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(options.stdin ?? '')
  })
