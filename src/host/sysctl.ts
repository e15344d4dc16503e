import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'

/** Keys as paths below /proc/sys, such as "net/ipv4/ip_forward": an interface's name may have dots in it. */
const pathOf = (key: string, folder = '/proc/sys'): string => `${folder}/${key}`

/** The value of a sysctl in the calling thread's namespaces; undefined where the kernel has no such key. */
export const readSysctl = (key: string): string | undefined => {
  try {
    return readFileSync(pathOf(key), 'utf8').trim()
  } catch {
    return undefined // IPv6 or a module is switched off, or the interface is gone
  }
}

/**
 * Sets a sysctl in the calling thread's namespaces. `folder` is another place of /proc/sys: a container's own is
 * read-only. Throws what the write says, naming the key.
 */
export const writeSysctl = (key: string, value: string, folder?: string): void => {
  try {
    writeFileSync(pathOf(key, folder), value)
  } catch (cause) {
    throw new Error(`set sysctl ${key.replaceAll('/', '.')} to ${value}`, { cause })
  }
}

/**
 * Why a sysctl that must be 1 cannot be set to it; undefined if it is, if it can be, or if the kernel has no such key.
 * Changes nothing.
 */
export const obstacleTo = (key: string): string | undefined => {
  const value = readSysctl(key)
  if (value === undefined || value === '1') return undefined
  try {
    accessSync(pathOf(key), constants.W_OK)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Sets a sysctl unless it has the value; one that is not there is left alone. Says whether it changed anything. */
export const ensureSysctl = (key: string, value: string): boolean => {
  const found = readSysctl(key)
  if (found === undefined || found === value) return false
  writeSysctl(key, value)
  return true
}

/** Sets a sysctl if it can be set: for what a container does without, on a host whose /proc/sys is read-only. */
export const trySysctl = (key: string, value: string): void => {
  try {
    writeFileSync(pathOf(key), value)
  } catch {
    // Nothing depends on it.
  }
}

/** The sysctl that keeps IPv6 away from an interface, or from "all", or from those that are yet to be made: "default". */
export const disableIPv6Key = (name: string): string => `net/ipv6/conf/${name}/disable_ipv6`

/**
 * Keeps IPv6 away from an interface of the host that only passes frames on: a port of a bridge, an ifb. Its link-local
 * address would be of no use, and every interface's addresses and routes are looked through when another comes or goes.
 */
export const disableIPv6 = (name: string): void => trySysctl(disableIPv6Key(name), '1')
