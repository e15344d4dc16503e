import { platform } from '#platform'
import { addrBytes } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { formatMac, type Mac, macFromHash, parseMac } from '../../src/ip/mac'
import type { BridgeConf } from './config'
import { portMac } from './veth'

/** kubenet's prefix for the MAC of an IPv4 address. */
const addressPrefix = Buffer.from('0a58', 'hex')

/**
 * A MAC that goes with the address, as kubenet's did: a container that gets a used address again has the MAC that
 * its neighbours' caches still hold for it. Undefined without an address.
 */
export const macForAddresses = (addresses: readonly Cidr[]): Mac | undefined => {
  const first = addresses[0]?.addr
  if (!first) return undefined
  if (first.family === 4) return formatMac(Buffer.concat([addressPrefix, addrBytes(first)]))
  return macFromHash(platform.sha512Hex(addrBytes(first).toString('hex')))
}

/** The MACs the two ends of an attachment's veth are created with: the same for every ADD, unless one is asked for. */
export const macsOf = (
  { containerID, ifName }: { containerID: string; ifName: string },
  conf: BridgeConf,
): { host: Mac; container: Mac } => {
  const hash = platform.sha512Hex(`${containerID}\n${ifName}`)
  const requested = conf.mac && parseMac(conf.mac.text)
  return { host: portMac(hash.slice(12)), container: requested ?? macFromHash(hash) }
}
