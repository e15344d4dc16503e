import { errnoOf, errnoText, isTransient } from '../host/errno'
import { endStep } from '../host/steps'
import { isFrom, type SystemError } from '../host/system-error'
import { type Undo, undoOnFailure } from '../host/undo'
import { closeNetns, isOfNetwork, isSameNetns, type Netns, openNetns, openOwnNetns } from '../netns/netns'
import type { CniEnv, Command } from './args'
import type { NetConf } from './conf'
import { CniError, ErrorCode } from './error'
import { parseResult, type Result, resultToJson } from './result'
import { isJsonObject, type JsonObject } from './schema'
import type { SpecVersion } from './version'

/** One call of a runtime, checked as far as all plugins have it in common. */
export type Call = {
  readonly env: CniEnv
  /** The configuration exactly as it came: what a delegate gets on its stdin. */
  readonly stdin: string
  /** The same as an object, every key as the user wrote it: what a plugin reads by its own schema. */
  readonly raw: JsonObject
  /** The part of it that every plugin has. */
  readonly conf: NetConf
  readonly version: SpecVersion
  /** The container's network namespace; undefined if CNI_NETNS is empty or leads nowhere. */
  readonly netns: Netns | undefined
  /**
   * For DEL alone: CNI_NETNS leads somewhere, but not to where this process may work, and this is why. DEL does all
   * that is outside of the namespace.
   */
  readonly outOfReach?: CniError | undefined
  /** The plugins inside this program, by the name a configuration calls them. */
  readonly builtIns: BuiltIns
  /** Plugins that are parts of the one that was called, and therefore not looked for in CNI_PATH. */
  readonly embedded?: BuiltIns
}

/** Results by the JSON they are of: the parts of a call ask for the same one. */
const readResults = new WeakMap<JsonObject, Result>()

/** The result of the plugins before, read once a call; undefined if there is none. Throws code 7 if it is none. */
export const prevResultOf = ({
  conf: { prevResult },
  version,
}: Pick<Call, 'conf' | 'version'>): Result | undefined => {
  if (prevResult === undefined) return undefined
  const read = isJsonObject(prevResult) ? readResults.get(prevResult) : undefined
  if (read) return read
  const result = parseResult(prevResult, version, 'prevResult')
  if (isJsonObject(prevResult)) readResults.set(prevResult, result)
  return result
}

/** A result as the prevResult of another call: in JSON, which `prevResultOf` need not read then. */
export const asPrevResult = (result: Result, version: SpecVersion): JsonObject => {
  const json = resultToJson(result, version)
  readResults.set(json, result)
  return json
}

/** Is it a verb that removes, and must not fail for what it does not need? */
export const isRemoval = ({ env: { command } }: Call): boolean => command === 'DEL' || command === 'GC'

export type BuiltIns = ReadonlyMap<string, () => Promise<Plugin>>

/**
 * One CNI plugin: what it does for each verb. A command answers or throws; it prints nothing and exits nowhere,
 * so that another plugin can run it inside the same process.
 */
export type Plugin = {
  readonly name: string
  /** The versions of the specification it speaks, oldest first. */
  readonly versions: readonly SpecVersion[]
  /** Every step that changes the host is registered with `undo`, which is rolled back if the promise rejects. */
  add(call: Call, undo: Undo): Promise<Result>
  check(call: Call): Promise<void>
  del(call: Call): Promise<void>
  gc(call: Call): Promise<void>
  status(call: Call): Promise<void>
}

/** The namespace of a call; for DEL also what stands between it and this process. */
type CallNetns = Pick<Call, 'netns' | 'outOfReach'> & {
  /** The failure of DEL once it has removed all that is outside of the namespace. */
  readonly refusal?: CniError
}

/** There is nothing at the path: open(2), and ESRCH of the /proc of a process that has ended. */
const isGone = ({ code }: SystemError): boolean => ['ENOENT', 'ENOTDIR', 'ESRCH'].includes(code)

/** The failure of a path that cannot be opened: with the kernel's words, and what may help. */
const notOpened = (path: string, error: unknown): CniError => {
  const errno = errnoOf(error)
  const code = isTransient(errno ?? '') ? ErrorCode.tryAgainLater : ErrorCode.invalidNetns
  const words = errno ? [errno, errnoText(errno)].filter(Boolean).join(': ') : String(error)
  return new CniError(code, `failed to open netns "${path}"`, {
    details: `${words}; see as root: ls -lL ${path}`,
    cause: error,
  })
}

/**
 * Opens CNI_NETNS before anything is changed. It must not be the namespace this process is in, which is what a recycled
 * /proc/PID/ns/net would be, unless the runtime insists with CNI_NETNS_OVERRIDE. One that does not exist is undefined:
 * DEL makes do, other commands ask `requireNetns`. Throws code 8, or 11 for what may pass, except for DEL.
 */
export const openCallNetns = (env: CniEnv): CallNetns => {
  if (!env.netns) return { netns: undefined }
  try {
    return { netns: openUsable(env) }
  } catch (error) {
    const isRefused = error instanceof CniError
    const failure = isRefused ? error : notOpened(env.netns, error)
    if (env.command !== 'DEL') throw failure
    return { netns: undefined, ...(isRefused ? { refusal: failure } : { outOfReach: failure }) }
  }
}

const openUsable = (env: CniEnv): Netns | undefined => {
  let netns: Netns
  try {
    netns = openNetns(env.netns)
  } catch (error) {
    if (isFrom(error, 'netns') && isGone(error)) return undefined
    throw error
  }
  try {
    return isUsable(env, netns) ? netns : closeUnused(netns)
  } catch (error) {
    closeNetns(netns)
    throw error
  }
}

const closeUnused = (netns: Netns): undefined => {
  closeNetns(netns)
  return undefined
}

/** Is it a namespace that a command may change? False for what DEL skips; throws code 8 if it is not. */
const isUsable = (env: CniEnv, netns: Netns): boolean => {
  const own = openOwnNetns()
  try {
    const isOwn = isSameNetns(netns, own)
    if (isOwn && !env.netnsOverride) {
      throw new CniError(
        ErrorCode.invalidNetns,
        "plugin's netns and netns from CNI_NETNS should not be the same",
        {
          details: `"${env.netns}" is the network namespace the plugin was started in; nothing in it was changed`,
        },
      )
    }
    if (isOwn || (netns.dev === own.dev && isOfNetwork(netns, own))) return true
  } finally {
    closeNetns(own)
  }
  // A mount that is gone leaves a plain file behind: as good as no namespace for DEL, a mistake elsewhere.
  if (env.command === 'DEL') return false
  throw new CniError(ErrorCode.invalidNetns, `CNI_NETNS "${env.netns}" is not a network namespace`)
}

/**
 * The container's network namespace, which all verbs but DEL need. Throws code 3, by which a runtime is free to forget the
 * container, only where that is so: at the ADD of the first plugin, before which there was nothing; else code 8.
 */
export const requireNetns = ({ netns, env, conf }: Call): Netns => {
  if (netns) return netns
  const isFirst = env.command === 'ADD' && conf.prevResult === undefined
  const code = isFirst ? ErrorCode.unknownContainer : ErrorCode.invalidNetns
  throw new CniError(code, `failed to open netns "${env.netns}": it does not exist`)
}

/**
 * Runs one verb of a plugin. Only ADD has a result, which goes to `deliver`; an ADD that fails, or whose result
 * cannot be delivered, undoes what it did.
 */
export const runCommand = async (
  plugin: Plugin,
  command: Exclude<Command, 'VERSION'>,
  call: Call,
  deliver: (result: Result) => void,
): Promise<void> => {
  switch (command) {
    case 'ADD':
      await undoOnFailure(async undo => {
        const result = await plugin.add(call, undo)
        endStep(`${plugin.name} ADD`)
        deliver(result)
      })
      return
    case 'CHECK':
      await plugin.check(call)
      break
    case 'DEL':
      await plugin.del(call)
      break
    case 'GC':
      await plugin.gc(call)
      break
    case 'STATUS':
      await plugin.status(call)
      break
  }
  endStep(`${plugin.name} ${command}`)
}
