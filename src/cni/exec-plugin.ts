import { platform } from '#platform'
import { warn } from '../host/log'
import { timedAsync } from '../host/steps'
import type { ProgramResult } from '../platform/platform'
import { CniError, ErrorCode, quote } from './error'
import { isJsonObject } from './schema'

/** Runs the program at `path` to its end. A test's substitute sees exactly what the plugin would. */
export type PluginExec = (path: string, env: Record<string, string>, stdin: string) => Promise<ProgramResult>

/** One execution of a plugin: `env` is its whole environment. */
type PluginExecution = {
  readonly path: string
  readonly env: Record<string, string>
  readonly stdin: string
}

/** Starts the plugin as a process; rejects only if it cannot be started. */
export const startPlugin: PluginExec = (path, env, stdin) => platform.run([path], { env, stdin })

/** Executes a plugin as a runtime does and answers what it printed; throws the error object it printed instead. */
export const execPlugin = async (
  { path, env, stdin }: PluginExecution,
  exec: PluginExec = startPlugin,
): Promise<string> => {
  const { exitCode, stdout, stderr } = await timedAsync('program', path, () => exec(path, env, stdin))
  if (exitCode === 0) {
    if (stderr) warn(stderr.trimEnd())
    return stdout
  }
  throw pluginFailure(exitCode, stdout, stderr)
}

/** As much as is quoted of what another plugin printed. */
const quotedOutput = 4096

const pluginFailure = (exitCode: number, stdout: string, stderr: string): CniError => {
  if (!stdout) {
    const said = stderr ? `: ${quote(stderr, quotedOutput)}` : ' with no error message'
    return new CniError(ErrorCode.internal, `netplugin failed${said}: exit status ${exitCode}`)
  }
  let value: unknown
  try {
    value = JSON.parse(stdout)
  } catch {
    // Not an error object: quoted below as it is.
  }
  if (!isJsonObject(value) || typeof value.msg !== 'string') {
    return new CniError(
      ErrorCode.internal,
      `netplugin failed but error parsing its diagnostic message ${quote(stdout, quotedOutput)}`,
    )
  }
  return new CniError(typeof value.code === 'number' ? value.code : ErrorCode.internal, value.msg, {
    details: typeof value.details === 'string' ? value.details : '',
  })
}
