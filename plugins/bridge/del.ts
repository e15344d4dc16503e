import { parseAlias } from '../../src/attachment/alias'
import type { Attachment } from '../../src/attachment/attachment'
import { delegate } from '../../src/cni/delegate'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { parseResult } from '../../src/cni/result'
import { endStep } from '../../src/host/steps'
import { isLinkLocal } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { addrList } from '../../src/netlink/addr'
import { linkByName, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { insideNetns, NetnsError } from '../../src/netns/netns'
import { type BridgeConf, readBridgeConf } from './config'
import { findHostVeth } from './veth'

const idOf = (call: Call, { network }: BridgeConf): Attachment => {
  const { containerID, ifName } = call.env
  return { network, containerID, ifName }
}

/** Opens a socket in the container's namespace; undefined if there is none. */
const openInContainer = ({ netns }: Call): NetlinkSocket | undefined => {
  if (!netns) return undefined
  try {
    return insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  } catch (error) {
    // The path leads to a file that is no network namespace (any more).
    if (error instanceof NetnsError) return undefined
    throw error
  }
}

/**
 * Deletes the container's interface from inside and answers the addresses it had, which `meanwhile` is told before the
 * kernel begins. An interface of that name which is no veth is nothing this plugin ever made, and stays.
 */
const deleteInContainer = (call: Call, meanwhile: (addresses: readonly Cidr[]) => void): Cidr[] => {
  const nl = openInContainer(call)
  if (!nl) return []
  try {
    const link = linkByName(nl, call.env.ifName)
    if (link?.kind !== 'veth') return []
    const addresses = addrList(nl, { index: link.index })
      .map(({ cidr }) => cidr)
      .filter(({ addr }) => !isLinkLocal(addr))
    meanwhile(addresses)
    linkDel(nl, link)
    return addresses
  } finally {
    nl.close()
  }
}

/** Deletes the host's end, where the namespace is out of reach or the container's end was renamed. */
const deleteOnHost = (id: Attachment, { vethPrefix }: BridgeConf): void =>
  withNetlink(NETLINK_ROUTE, nl => {
    const link = findHostVeth(nl, id, vethPrefix)
    if (link) linkDel(nl, link)
  })

/** The addresses in a prevResult; none if there is no prevResult or it can't be read. */
const knownAddresses = (call: Call): Cidr[] => {
  const { prevResult } = call.conf
  if (prevResult === undefined) return []
  try {
    return parseResult(prevResult, call.version, 'prevResult').ips.map(({ address }) => address)
  } catch {
    return [] // a broken cache must not keep anything from being cleaned
  }
}

/** Has the container another interface on this network? */
const hasSibling = ({ network, containerID, ifName }: Attachment): boolean =>
  withNetlink(NETLINK_ROUTE, nl =>
    linkList(nl).some(({ alias }) => {
      const other = parseAlias(alias)
      return other?.network === network && other.containerID === containerID && other.ifName !== ifName
    }),
  )

/**
 * Removing the rules of an attachment, begun as soon as its addresses are known: the kernel takes 10 to 30 ms to delete
 * a link. Meanwhile iptables-restore runs, and what nf_tables waits for passes.
 */
class RuleRemoval {
  readonly #remove: (addresses: readonly Cidr[]) => Promise<void>
  #failure: Promise<unknown> | undefined

  private constructor(remove: (addresses: readonly Cidr[]) => Promise<void>) {
    this.#remove = remove
  }

  static async of(call: Call, conf: BridgeConf): Promise<RuleRemoval> {
    if (!conf.masquerade) return new RuleRemoval(async () => {})
    const { removeMasquerade } = await import('./masquerade-removal.js')
    const id = idOf(call, conf)
    return new RuleRemoval(async addresses => {
      const known = addresses.length > 0 ? addresses : knownAddresses(call)
      // Without an address all rules of the container would go, a second interface's among them.
      await removeMasquerade(id, known.length === 0 && hasSibling(id) ? undefined : known)
    })
  }

  begin(addresses: readonly Cidr[]): void {
    // A failure is kept for the step that ends the removal: by then nobody would be listening.
    this.#failure ??= this.#remove(addresses).then(
      () => undefined,
      (error: unknown) => error,
    )
  }

  /** Begins it with no address known, if it has not begun. Throws what it failed with. */
  async end(): Promise<void> {
    this.begin([])
    const failure = await this.#failure
    if (failure !== undefined) throw failure
  }
}

const removeGuards = async (call: Call, conf: BridgeConf): Promise<void> => {
  if (conf.masquerade?.dropInvalid) (await import('./drop-invalid.js')).allowInvalid(idOf(call, conf))
}

const removeMacCheck = async (call: Call, conf: BridgeConf): Promise<void> => {
  if (!conf.macSpoofCheck) return
  const { uncheckMac } = await import('./mac-spoof.js')
  uncheckMac(call.env)
}

type Step = () => void | Promise<void>

/** Deletes the veth pair. */
const vethSteps = (call: Call, conf: BridgeConf, rules: RuleRemoval): Step[] => {
  let addresses: Cidr[] = []
  return [
    () => {
      addresses = deleteInContainer(call, found => rules.begin(found))
      endStep('link')
    },
    () => {
      if (addresses.length === 0) deleteOnHost(idOf(call, conf), conf)
    },
  ]
}

/** Removes what there is beside the veth pair. */
const otherSteps = (call: Call, conf: BridgeConf, rules: RuleRemoval): Step[] => [
  async () => {
    if (conf.ipamType) await delegate(call, conf.ipamType, 'DEL')
    endStep('ipam')
  },
  async () => {
    await rules.end()
    endStep('masquerade')
  },
  () => removeGuards(call, conf),
  () => removeMacCheck(call, conf),
  async () => {
    if (conf.prune) await (await import('./prune.js')).pruneBridge(conf)
  },
]

export const del = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  const rules = await RuleRemoval.of(call, conf)
  await runAll([...vethSteps(call, conf, rules), ...otherSteps(call, conf, rules)])
}

/** What `del` does for an attachment whose veth pair is gone: a search under all names it may have costs milliseconds. */
export const delWithoutVeth = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  await runAll(otherSteps(call, conf, await RuleRemoval.of(call, conf)))
}
