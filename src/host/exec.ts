import { statSync } from 'node:fs'
import { platform } from '#platform'
import { throwIfInterrupted } from './interrupt'
import { timedAsync } from './steps'
import { SystemError } from './system-error'

/** Where programs are looked for when the runtime gave no PATH, as it does for loopback. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

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

/** The code of the SystemError for a program that ended so. */
export const codeOfExit = (exitCode: number): string => `exit ${exitCode}`

/**
 * Runs a program, by its whole path, and answers what it printed. Throws a SystemError from 'program' unless it exits with
 * 0: the code is `codeOfExit`, the details are what the program said.
 */
export const exec = async (argv: readonly [string, ...string[]], stdin?: string): Promise<string> => {
  const env = { PATH: process.env.PATH || defaultPath, LC_ALL: 'C' }
  const result = await timedAsync('program', argv.join(' '), () =>
    platform.run(argv, { env, ...(stdin !== undefined && { stdin }) }),
  )
  throwIfInterrupted(`running ${argv[0]}`)
  if (result.exitCode === 0) return result.stdout
  throw new SystemError('program', {
    message: `${argv.join(' ')}: exit code ${result.exitCode}`,
    code: codeOfExit(result.exitCode),
    details: result.stderr.trim(),
  })
}
