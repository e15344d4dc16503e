/** The ports that programs of the host listen on. */
import { readFileSync } from 'node:fs'

// "  sl  local_address rem_address   st …" in hex, the port behind the last colon: proc_net_tcp.rst.
const stateListen = '0A'
const stateUdpUnconnected = '07'

const listeningIn = (file: string, state: string): Set<number> => {
  try {
    const lines = readFileSync(`/proc/thread-self/net/${file}`, 'utf8').split('\n').slice(1)
    const words = lines.map(line => line.trim().split(/\s+/)).filter(([, , , found]) => found === state)
    return new Set(
      words.map(([, local = '']) => Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16)),
    )
  } catch {
    return new Set() // a kernel without that protocol
  }
}

/** The ports that programs of the host listen on, by protocol. */
export const listeningPorts = (): Record<string, ReadonlySet<number>> => ({
  tcp: new Set([...listeningIn('tcp', stateListen), ...listeningIn('tcp6', stateListen)]),
  udp: new Set([...listeningIn('udp', stateUdpUnconnected), ...listeningIn('udp6', stateUdpUnconnected)]),
})
