/** Does a limit of the bandwidth plugin hold? As much as goes out is sent for half a second, and what arrives is counted. */
import type { Netns } from '../../src/netns/netns'
import { connectTo, listen } from './datagrams'
import type { Endpoint } from './socket'

const measuredMs = 500
/** Payload of one datagram: what the smallest usual MTU of a tunnel still holds. */
const payload = 1200
const packetsAtOnce = 16

/** The bits a second that arrive from one namespace in another, beyond those of `burstBits`. */
export const measureRate = (
  { from, to, server }: { from: Netns; to: Endpoint; server: Netns },
  burstBits: number,
): number => {
  const listening = listen(server, to)
  try {
    const client = connectTo(from, to)
    try {
      const data = Buffer.alloc(payload, 'k')
      let bits = 0
      const take = () => {
        for (let length = listening.tryReceiveLength(); length !== undefined; ) {
          bits += length * 8
          length = listening.tryReceiveLength()
        }
      }
      const began = performance.now()
      while (performance.now() - began < measuredMs) {
        for (let i = 0; i < packetsAtOnce && client.trySend(data); i++);
        take()
      }
      return (Math.max(0, bits - burstBits) * 1000) / measuredMs
    } finally {
      client.close()
    }
  } finally {
    listening.close()
  }
}
