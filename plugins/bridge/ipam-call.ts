import type { Call } from '../../src/cni/plugin'
import type { JsonObject } from '../../src/cni/schema'
import { formatAddr, isLinkLocal } from '../../src/ip/addr'
import { addrList } from '../../src/netlink/addr'
import type { Link } from '../../src/netlink/link'
import type { NetlinkSocket } from '../../src/netlink/socket'
import type { BridgeConf } from './config'

/** The name of a key as the user wrote it: case does not count. */
const keyIn = (object: JsonObject, name: string): string =>
  Object.keys(object).find(key => key.toLowerCase() === name) ?? name

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null

/** The configuration with addresses that host-local is not to give out; undefined where "exclude" is no list. */
const excluding = (raw: JsonObject, addresses: readonly string[]): JsonObject | undefined => {
  const key = keyIn(raw, 'ipam')
  const ipam = raw[key]
  if (!isObject(ipam)) return undefined
  const exclude = keyIn(ipam, 'exclude')
  const given = ipam[exclude] ?? []
  if (!Array.isArray(given)) return undefined
  return { ...raw, [key]: { ...ipam, [exclude]: [...given, ...addresses] } }
}

/**
 * The call as the IPAM plugin gets it. host-local passes over the gateways of its own ranges; of what else the bridge
 * has it knows nothing: the gateway of a range that the network had before, the host's own address in a network of
 * machines. `link` is the interface that has them; other IPAM plugins get the configuration as it came.
 */
export const ipamCall = (
  nl: NetlinkSocket,
  { call, conf, link }: { call: Call; conf: BridgeConf; link: Link | undefined },
): Call => {
  if (conf.ipamType !== 'host-local' || !link) return call
  const addresses = addrList(nl, { index: link.index })
    .filter(({ cidr }) => !isLinkLocal(cidr.addr))
    .map(({ cidr }) => formatAddr(cidr.addr))
  const raw = addresses.length > 0 ? excluding(call.raw, addresses) : undefined
  return raw ? { ...call, raw, stdin: JSON.stringify(raw) } : call
}
