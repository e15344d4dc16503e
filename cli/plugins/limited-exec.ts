import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { PluginExec } from '../../src/cni/exec-plugin'

/** More than any answer has; what prints without end is cut off there. */
const maxOutput = 1024 * 1024

/** A program did not end in time. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError'
}

/**
 * Runs programs that may be anything: each is killed, with all it started, when it has not ended after `limitMs`.
 * Rejects with a TimeLimitError then, and with the error of spawn if it can't be started.
 */
export const limitedExec =
  (limitMs: number): PluginExec =>
  (path, env, stdin) =>
    new Promise((resolve, reject) => {
      // In a process group of its own, which a signal reaches as a whole.
      const child = spawn(path, [], { env, stdio: 'pipe', detached: true })
      const killGroup = () => {
        try {
          if (child.pid) process.kill(-child.pid, 'SIGKILL')
        } catch {
          // It has just ended.
        }
      }
      const timer = setTimeout(() => {
        killGroup()
        reject(new TimeLimitError(`${path} has not ended after ${limitMs / 1000} s`))
      }, limitMs)
      const output = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8').on('data', (text: string) => {
          if (output[name].length < maxOutput) output[name] += text
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
