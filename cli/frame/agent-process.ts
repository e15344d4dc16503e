/** The processes of the cluster's agent on this node. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export const agentName = 'kubenet-agent'

/** What is read of a process, trimmed; "" if it has ended meanwhile, or may not be looked at. */
export const textAt = (read: () => string): string => {
  try {
    return read().trim()
  } catch {
    return ''
  }
}

/** The process ids of the agents in this network namespace. One in a container is seen from the host alone. */
export const agents = (): string[] => {
  const own = textAt(() => readlinkSync('/proc/self/ns/net'))
  return readdirSync('/proc').filter(
    pid =>
      /^\d+$/.test(pid) &&
      textAt(() => readFileSync(`/proc/${pid}/comm`, 'utf8')) === agentName &&
      textAt(() => readlinkSync(`/proc/${pid}/ns/net`)) === own,
  )
}

export const agentRuns = (): boolean => agents().length > 0
