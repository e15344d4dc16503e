import type { InterfaceID } from '../attachment/attachment'
import type { JsonObject } from '../cni/schema'
import type { NetworkConfigList } from './conf-list'
import type { PluginConf } from './plugin-conf'

/** What a request has beside the plugin's own configuration; a key that is undefined is not sent. */
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
 * What a plugin reads on its standard input: SPEC.md, section 3, "Deriving request configuration from plugin
 * configuration". The user's keys stay as they are and in their order; those of the runtime replace them or follow.
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
