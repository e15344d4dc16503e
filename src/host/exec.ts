import { statSync } from 'node:fs'
import { platform } from '#platform'
import { throwIfInterrupted } from './interrupt'
import { timedAsync } from './steps'

/** Where programs are looked for when the runtime gave no PATH, as it does for loopback. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** A program ended with a failure, or could not be started. */
export class ExecError extends Error {
  readonly argv: readonly string[]
  readonly exitCode: number
  readonly stderr: string
  /** What the program itself said. */
  readonly details: string

  constructor(argv: readonly string[], exitCode: number, stderr: string) {
    super(`${argv.join(' ')}: exit code ${exitCode}`)
    this.argv = argv
    this.exitCode = exitCode
    this.stderr = stderr
    this.details = stderr.trim()
  }
}

const isFile = (path: string): boolean => {
  try {
    const stat = statSync(path)
    return stat.isFile() && (stat.mode & 0o111) !== 0
  } catch {
    return false
  }
}

/** The first executable file of that name in PATH; undefined if there is none. */
export const findProgram = (
  name: string,
  path: string = process.env.PATH || defaultPath,
): string | undefined =>
  path
    .split(':')
    .filter(folder => folder.startsWith('/'))
    .map(folder => `${folder}/${name}`)
    .find(isFile)

/** Runs a program, by its whole path, and answers what it printed. Throws an ExecError unless it exits with 0. */
export const exec = async (argv: readonly [string, ...string[]], stdin?: string): Promise<string> => {
  const env = { PATH: process.env.PATH || defaultPath, LC_ALL: 'C' }
  const result = await timedAsync('program', argv.join(' '), () =>
    platform.run(argv, { env, ...(stdin !== undefined && { stdin }) }),
  )
  throwIfInterrupted(`running ${argv[0]}`)
  if (result.exitCode !== 0) throw new ExecError(argv, result.exitCode, result.stderr)
  return result.stdout
}
