/** Calling the plugins of a network as a runtime does. */
import type { InterfaceID } from '../attachment/attachment'
import type { Command } from '../cni/args'
import { CniError, ErrorCode } from '../cni/error'
import { execPlugin, type PluginExec, startPlugin } from '../cni/exec-plugin'
import { isJsonObject, type JsonObject } from '../cni/schema'
import { errnoOf } from '../host/errno'
import { pause } from '../host/interrupt'
import { type AttachmentParameters, formatCniArgs } from './attachment'
import type { NetworkConfigList, PluginConf } from './conf-list'
import { findPlugin } from './plugin-path'

/** The parts of a request beside the plugin's own configuration; a key that is undefined is not sent. */
export type RequestParameters = {
  /** The result of the plugin before (ADD) or of the whole chain (CHECK, DEL). */
  readonly prevResult?: object | undefined
  readonly capabilityArgs?: JsonObject | undefined
  /** For GC: the attachments to keep. */
  readonly validAttachments?: readonly InterfaceID[] | undefined
}

/** The values of the capabilities that the plugin declares and the runtime has; undefined if there are none. */
const runtimeConfig = (plugin: PluginConf, args: JsonObject): JsonObject | undefined => {
  const wanted = plugin.capabilities.filter(capability => Object.hasOwn(args, capability))
  if (wanted.length === 0) return undefined
  return Object.fromEntries(wanted.map(capability => [capability, args[capability]]))
}

/**
 * The standard input of a plugin: SPEC.md, section 3, "Deriving request configuration from plugin configuration". The
 * user's keys stay as they are and in their order; those of the runtime replace them or follow.
 */
export const formatRequestConf = (
  list: NetworkConfigList,
  plugin: PluginConf,
  { prevResult, capabilityArgs = {}, validAttachments }: RequestParameters,
): string => {
  const injected = runtimeConfig(plugin, capabilityArgs)
  const valid = validAttachments?.map(({ containerID, ifName }) => ({ containerID, ifname: ifName }))
  return JSON.stringify({
    ...plugin.raw,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(prevResult && { prevResult }),
    ...(injected && { runtimeConfig: injected }),
    // Plugins of the time when the specification called it so read the second: containernetworking/cni#1101.
    ...(valid && { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid }),
  })
}

/** The places of a runtime: nothing is taken from the process but what is here. */
export type RuntimeOptions = {
  /** The folders plugins are looked for in, in order; they become CNI_PATH. */
  readonly binDirs: readonly string[]
  /** The folder that holds `results/`; libcni's is /var/lib/cni. */
  readonly cacheDir: string
  /** The environment plugins inherit, CNI_* variables replaced. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Starts a program; a real process if left out. */
  readonly exec?: PluginExec
}

type PluginCall = {
  readonly verb: Exclude<Command, 'VERSION'>
  readonly plugin: PluginConf
  /** The standard input of the plugin. */
  readonly stdin: string
  /** Left out for GC and STATUS, which concern no attachment. */
  readonly attachment?: AttachmentParameters
}

const busyAttempts = 5
const busyPauseMs = 200

/** A real process. A plugin that is being replaced by an installer cannot be started for a moment: ETXTBSY. */
export const startUnlessBusy: PluginExec = async (path, env, stdin) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startPlugin(path, env, stdin)
    } catch (error) {
      if (errnoOf(error) !== 'ETXTBSY' || attempt === busyAttempts) throw error
      await pause(busyPauseMs) // nothing tells when its writer closes it
    }
  }
}

/** The CNI_* variables of a call; libcni sets those without a value to nothing. */
export type CniVariables = {
  CNI_COMMAND: Command
  CNI_CONTAINERID: string
  CNI_NETNS: string
  CNI_IFNAME: string
  CNI_ARGS: string
  CNI_PATH: string
}

/** Executes the plugin at `path` with the inherited environment and these variables; answers what it printed. */
export const execInherited = (
  { path, variables, stdin }: { path: string; variables: CniVariables; stdin: string },
  { env: inherited, exec = startUnlessBusy }: RuntimeOptions,
): Promise<string> => {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(inherited)) if (value !== undefined) env[name] = value
  return execPlugin({ path, env: { ...env, ...variables }, stdin }, exec)
}

const verbWords = { ADD: 'add', CHECK: 'check', DEL: 'delete', GC: 'gc', STATUS: 'status' } as const

/** Calls one plugin of a network and answers what it printed; throws its error object, the plugin's name in front. */
export const runPlugin = async (call: PluginCall, options: RuntimeOptions): Promise<string> => {
  const { verb, plugin, stdin, attachment } = call
  const variables: CniVariables = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: attachment?.containerID ?? '',
    CNI_NETNS: attachment?.netns ?? '',
    CNI_IFNAME: attachment?.ifName ?? '',
    CNI_ARGS: formatCniArgs(attachment?.args ?? []),
    CNI_PATH: options.binDirs.join(':'),
  }
  try {
    return await execInherited({ path: findPlugin(plugin.type, options.binDirs), variables, stdin }, options)
  } catch (cause) {
    const { code, message, details } = CniError.from(cause)
    const text = `plugin type="${plugin.type}" failed (${verbWords[verb]}): ${message}`
    throw new CniError(code, text, { details, cause })
  }
}

/** Does a DEL or GC of the plugin give addresses back? kubenet does, and whatever has an IPAM plugin. */
const givesAddressesBack = ({ type, raw }: PluginConf): boolean =>
  type === 'kubenet' ||
  Object.entries(raw).some(
    ([key, value]) => key.toLowerCase() === 'ipam' && isJsonObject(value) && Object.keys(value).length > 0,
  )

const keptBack = ({ type }: PluginConf): CniError =>
  new CniError(ErrorCode.tryAgainLater, `plugin type="${type}" was not called, to keep the addresses`, {
    details: 'rules of the plugin that failed may still lead to them; fix that, then repeat the call',
  })

/**
 * Calls plugins of a list in reverse order, also when one fails, and throws all failures joined. But once one has
 * failed no plugin is called that gives addresses back: another container would get what still is sent to them.
 */
export const callInReverse = async (
  plugins: readonly PluginConf[],
  call: (plugin: PluginConf) => Promise<void>,
): Promise<void> => {
  const failures: unknown[] = []
  for (const plugin of plugins.toReversed()) {
    try {
      if (failures.length > 0 && givesAddressesBack(plugin)) throw keptBack(plugin)
      await call(plugin)
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw CniError.join(failures)
}
