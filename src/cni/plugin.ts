import type { Undo } from '../host/undo'
import {
  closeNetns,
  isOfNetwork,
  isSameNetns,
  type Netns,
  NetnsError,
  openNetns,
  openOwnNetns,
} from '../netns/netns'
import type { CniEnv } from './args'
import type { NetConf } from './conf'
import { CniError, ErrorCode } from './error'
import type { Result } from './result'
import type { JsonObject } from './schema'
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
  /** The plugins inside this program, by the name a configuration calls them. */
  readonly builtIns: BuiltIns
  /** Plugins that are parts of the one that was called, and therefore not looked for in CNI_PATH. */
  readonly embedded?: BuiltIns
}

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

/**
 * Opens CNI_NETNS before anything is changed. It must not be the namespace this process is in (code 8), which is
 * what a recycled /proc/PID/ns/net would be, unless the runtime insists with CNI_NETNS_OVERRIDE. One that does not
 * exist is undefined: DEL makes do, other commands ask `requireNetns`.
 */
export const openCallNetns = (env: CniEnv): Netns | undefined => {
  if (!env.netns) return undefined
  let netns: Netns
  try {
    netns = openNetns(env.netns)
  } catch (error) {
    if (error instanceof NetnsError && ['ENOENT', 'ENOTDIR', 'ESRCH'].includes(error.code)) return undefined
    throw new CniError(ErrorCode.invalidNetns, `failed to open netns "${env.netns}"`, { cause: error })
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

/** Is it a namespace that a command may change? False for what DEL passes over; throws code 8 if it is not. */
const isUsable = (env: CniEnv, netns: Netns): boolean => {
  const own = openOwnNetns()
  try {
    const isOwn = isSameNetns(netns, own)
    if (isOwn && !env.netnsOverride) {
      throw new CniError(
        ErrorCode.invalidNetns,
        "plugin's netns and netns from CNI_NETNS should not be the same",
        { details: `"${env.netns}" is the network namespace the plugin was started in; nothing was changed` },
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

/** The container's network namespace, or code 3: for all but DEL there is nothing to do without it. */
export const requireNetns = (call: Call): Netns => {
  if (call.netns) return call.netns
  throw new CniError(
    ErrorCode.unknownContainer,
    `failed to open netns "${call.env.netns}": it does not exist`,
  )
}
