/**
 * Calls of the IPAM plugin: SPEC.md, section 4. The plugin is the first file of its name in CNI_PATH. If that file
 * is this very program, it is called inside this process, which saves starting one; anything else is executed.
 */
import { statSync } from 'node:fs'
import { platform } from '#platform'
import type { Command } from './args'
import { CniError, ErrorCode } from './error'
import { execPlugin } from './exec-plugin'
import { type Call, type Plugin, runCommand } from './plugin'
import { parseResult, type Result } from './result'

type Verb = Exclude<Command, 'VERSION'>

const inodeOf = (path: string): string | undefined => {
  try {
    const stat = statSync(path)
    return stat.isFile() ? `${stat.dev}:${stat.ino}` : undefined
  } catch {
    return undefined
  }
}

/** The first file called `type` in the folders of CNI_PATH; throws naming them all if there is none. */
const findPlugin = (
  type: string,
  folders: readonly string[],
  verb: Verb,
): { path: string; inode: string } => {
  const notFound = (message: string) =>
    new CniError(verb === 'STATUS' ? ErrorCode.pluginNotAvailable : ErrorCode.invalidNetworkConfig, message)
  if (type.includes('/')) throw notFound(`invalid plugin name: ${type}`)
  for (const folder of folders) {
    const path = `${folder}/${type}`
    const inode = inodeOf(path)
    if (inode) return { path, inode }
  }
  throw notFound(`failed to find plugin "${type}" in path [${folders.join(' ')}]`)
}

/** The plugin inside this program that answers for `type`: a part of the caller, or the file that CNI_PATH has. */
const insidePlugin = (
  call: Call,
  type: string,
  verb: Verb,
): { load?: () => Promise<Plugin>; path: string } => {
  const part = call.embedded?.get(type)
  if (part) return { load: part, path: platform.programPath }
  const found = findPlugin(type, call.env.path, verb)
  const builtIn = call.builtIns.get(type)
  const same = builtIn && found.inode === inodeOf(platform.programPath)
  return { path: found.path, ...(same && { load: builtIn }) }
}

/**
 * Calls the plugin `type` with the caller's configuration and environment; `onCall` is called when it is found, just
 * before. Its failure is passed on as it is.
 */
const callDelegate = async (
  call: Call,
  type: string,
  { verb, onCall }: { verb: Verb; onCall?: () => void },
): Promise<Result | undefined> => {
  const { load, path } = insidePlugin(call, type, verb)
  onCall?.()
  if (load) {
    let result: Result | undefined
    await runCommand(await load(), verb, { ...call, env: { ...call.env, command: verb } }, answer => {
      result = answer
    })
    return result
  }
  const stdout = await execPlugin({ path, env: environment(verb), stdin: call.stdin })
  return verb === 'ADD' ? parseDelegateResult(stdout, call, type) : undefined
}

const parseDelegateResult = (stdout: string, call: Call, type: string): Result => {
  const what = `the result of plugin "${type}"`
  let value: unknown
  try {
    value = JSON.parse(stdout)
  } catch (cause) {
    throw new CniError(ErrorCode.decodingFailure, `${what} is not JSON`, { cause })
  }
  return parseResult(value, call.version, what)
}

const environment = (verb: Verb): Record<string, string> => {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = value
  return { ...env, CNI_COMMAND: verb }
}

/**
 * Has the IPAM plugin give out addresses. After `onCall` there may be addresses to free, also if the plugin fails: the
 * caller must call its DEL then.
 */
export const delegateAdd = async (call: Call, type: string, onCall: () => void): Promise<Result> => {
  const result = await callDelegate(call, type, { verb: 'ADD', onCall })
  if (!result) throw new CniError(ErrorCode.internal, `plugin "${type}" answered ADD without a result`)
  return result
}

/** Has the IPAM plugin do a command that answers nothing. */
export const delegate = async (call: Call, type: string, verb: Exclude<Verb, 'ADD'>): Promise<void> => {
  await callDelegate(call, type, { verb })
}
