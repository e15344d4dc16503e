import { validName } from './conf'
import { CniError, ErrorCode } from './error'

const commands = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS', 'VERSION'] as const

export type Command = (typeof commands)[number]

/** The variables a runtime sets for a plugin, checked: SPEC.md, section 2. */
export type CniEnv = {
  readonly command: Command
  readonly containerID: string
  /** Path of the container's network namespace; empty only for DEL, GC and STATUS. */
  readonly netns: string
  readonly ifName: string
  /** CNI_ARGS as it came. */
  readonly args: string
  /** The folders of CNI_PATH, in order. */
  readonly path: readonly string[]
  /** CNI_NETNS may be the plugin's own namespace. */
  readonly netnsOverride: boolean
}

/** The variables each command must find set. skel.go asks for CNI_PATH of all of them, the spec for GC alone. */
const required: Record<Command, readonly string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
  VERSION: [],
}

/** <linux/if.h>: IFNAMSIZ less the final NUL. */
const maxIfNameBytes = 15

const bad = (message: string, details: string) =>
  new CniError(ErrorCode.invalidEnvironment, message, { details })

/** Throws code 4 unless the kernel would take `name` for an interface (net/core/dev.c, dev_valid_name). */
export const checkIfName = (name: string): void => {
  if (Buffer.byteLength(name) > maxIfNameBytes) {
    throw bad('interface name is too long', `"${name}" has more than ${maxIfNameBytes} bytes`)
  }
  if (name === '.' || name === '..') throw bad('interface name is . or ..', '')
  // U+0085 is white space to Go and so to every runtime, but not to \s.
  if (/[/:\s\u0085]/.test(name)) {
    throw bad('interface name contains / or : or whitespace characters', JSON.stringify(name))
  }
}

const isCommand = (text: string): text is Command => (commands as readonly string[]).includes(text)

/** Reads and checks the CNI_* variables; all that are missing are reported together, with code 4. */
export const readCniEnv = (env: Readonly<Record<string, string | undefined>>): CniEnv => {
  const command = env.CNI_COMMAND ?? ''
  if (command && !isCommand(command)) {
    throw new CniError(ErrorCode.invalidEnvironment, `unknown CNI_COMMAND: ${command}`)
  }
  const needed = isCommand(command) ? required[command] : []
  const missing = ['CNI_COMMAND', ...needed].filter(name => !env[name])
  if (missing.length > 0 || !isCommand(command)) {
    throw new CniError(ErrorCode.invalidEnvironment, `required env variables [${missing.join(',')}] missing`)
  }
  const containerID = env.CNI_CONTAINERID ?? ''
  const ifName = env.CNI_IFNAME ?? ''
  if (needed.includes('CNI_CONTAINERID') && !validName.test(containerID)) {
    throw bad('invalid characters in containerID', containerID)
  }
  if (needed.includes('CNI_IFNAME')) checkIfName(ifName)
  const override = (env.CNI_NETNS_OVERRIDE ?? '').toLowerCase()
  return {
    command,
    containerID,
    netns: env.CNI_NETNS ?? '',
    ifName,
    args: env.CNI_ARGS ?? '',
    path: (env.CNI_PATH ?? '').split(':').filter(Boolean),
    netnsOverride: override === '1' || override === 'true',
  }
}

/**
 * Reads CNI_ARGS ("K=V;K=V") for the keys a plugin knows. A malformed pair, and an unknown key unless
 * `IgnoreUnknown` is true, is an error with code 4, in the words of the reference.
 */
export const readCniArgs = <K extends string>(
  args: string,
  known: readonly K[],
): Partial<Record<K, string>> => {
  const found: Partial<Record<K, string>> = {}
  const unknown: string[] = []
  let ignoreUnknown = false
  const invalid = (message: string) => new CniError(ErrorCode.invalidEnvironment, message)

  for (const pair of args ? args.split(';') : []) {
    const [key, value, ...rest] = pair.split('=')
    if (key === undefined || value === undefined || rest.length > 0) {
      throw invalid(`ARGS: invalid pair ${JSON.stringify(pair)}`)
    }
    if (key === 'IgnoreUnknown') {
      if (!/^(0|1|true|false)$/i.test(value)) {
        throw invalid(`ARGS: error parsing value of pair ${JSON.stringify(pair)}: boolean unmarshal error`)
      }
      ignoreUnknown = value === '1' || value.toLowerCase() === 'true'
    } else if ((known as readonly string[]).includes(key)) {
      found[key as K] = value
    } else {
      unknown.push(pair)
    }
  }
  if (unknown.length > 0 && !ignoreUnknown) {
    throw invalid(`ARGS: unknown args [${unknown.map(pair => JSON.stringify(pair)).join(' ')}]`)
  }
  return found
}
