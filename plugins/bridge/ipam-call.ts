import type { Attachment } from '../../src/attachment/attachment'
import { delegate, delegateAdd } from '../../src/cni/delegate'
import { CniError, runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { JsonObject } from '../../src/cni/schema'
import type { Undo } from '../../src/host/undo'
import { formatAddr, isLinkLocal } from '../../src/ip/addr'
import { addrList } from '../../src/netlink/addr'
import type { Link } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import type { BridgeConf } from './config'
import { findHostVeth, takeDownVeth } from './veth'

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

/** The folder in which the IPAM plugin keeps its leases, if its configuration names one. */
export const leaseFolder = ({ raw }: Call): string | undefined => {
  const ipam = raw[keyIn(raw, 'ipam')]
  const folder = isObject(ipam) ? ipam[keyIn(ipam, 'datadir')] : undefined
  return typeof folder === 'string' && folder !== '' ? folder : undefined
}

/**
 * The call as the IPAM plugin gets it. host-local skips the gateways of its own ranges; of what else the bridge
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

const isSaidAlready = (error: unknown, earlier: unknown): boolean =>
  earlier !== undefined && CniError.from(error).message === CniError.from(earlier).message

/** An attachment whose ADD is under way, with the host's end of its veth. */
type Beginning = {
  readonly call: Call
  readonly conf: BridgeConf
  readonly id: Attachment
  readonly veth: string
}

/** Has the attachment another veth pair, of an ADD before into another namespace? Then its addresses are in use. */
const isAttachedElsewhere = ({ id, conf }: Beginning): boolean =>
  withNetlink(NETLINK_ROUTE, nl => findHostVeth(nl, id, conf.vethPrefix) !== undefined)

/**
 * Has the IPAM plugin `type` give out addresses; `asked` is its call. It is called with DEL if the ADD fails, be it the
 * plugin that failed (SPEC.md, section 4): what it leaves then, only that one can give back.
 */
export const runIpam = async (
  beginning: Beginning,
  { type, asked }: { type: string; asked: Call },
  undo: Undo,
): Promise<Result> => {
  const { call, veth } = beginning
  let failure: unknown
  // In this order, as in DEL: an address that is free again must not be on an interface any more.
  const giveBack = () =>
    runAll([
      () => takeDownVeth(veth),
      async () => {
        if (isAttachedElsewhere(beginning)) return
        // A plugin that refused to add may refuse to delete, for the reason that is already thrown.
        await delegate(call, type, 'DEL').catch(error => {
          if (!isSaidAlready(error, failure)) throw error
        })
      },
    ])
  try {
    return await delegateAdd(asked, type, () => undo.add('free the addresses', giveBack))
  } catch (error) {
    failure = error
    throw error
  }
}
