import type { Command } from '../cni/args'
import { CniError } from '../cni/error'
import { execPlugin, type PluginExec, startPlugin } from '../cni/exec-plugin'
import { errnoOf } from '../host/errno'
import { pause } from '../host/interrupt'
import { type AttachmentParameters, formatCniArgs } from './attachment'
import type { PluginConf } from './plugin-conf'
import { findPlugin } from './plugin-path'

/** What a runtime works with: nothing is taken from the process but what is here. */
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
  /** What the plugin reads on its standard input. */
  readonly stdin: string
  /** Left out for GC and STATUS, which concern no attachment. */
  readonly attachment?: AttachmentParameters
}

const busyAttempts = 5
const busyPauseMs = 200

/** A real process. A plugin that is being replaced by an installer can't be started for a moment: ETXTBSY. */
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
