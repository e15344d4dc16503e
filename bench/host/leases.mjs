import { mkdirSync, writeFileSync } from 'node:fs'

const folder = '/var/lib/cni/networks/pods'

const addressOf = n => `10.88.${(n >> 8) & 255}.${n & 255}`

/** The host part of the first lease: .0 is the network, .1 the gateway. */
const firstHost = 2

/** Fills the network's store with `count` leases, in the files both implementations share. */
export const writeLeases = (count, from = 0) => {
  mkdirSync(folder, { recursive: true })
  for (let i = from; i < count; i++) {
    const owner = `${i}`.padStart(64, 'a')
    writeFileSync(`${folder}/${addressOf(firstHost + i)}`, `${owner}\r\neth0`, { mode: 0o600 })
  }
  writeFileSync(`${folder}/last_reserved_ip.0`, addressOf(firstHost + count - 1))
  return { count }
}
