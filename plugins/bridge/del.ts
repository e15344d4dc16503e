import type { Attachment } from '../../src/attachment/attachment'
import { isAliasOf, parseAlias } from '../../src/attachment/interfaces'
import { isLeaseOf, leaseOn } from '../../src/attachment/lease'
import { delegate } from '../../src/cni/delegate'
import { CniError, runAll } from '../../src/cni/error'
import { type Call, prevResultOf } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/steps'
import { isFrom } from '../../src/host/system-error'
import { formatAddr, isLinkLocal } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import type { Unmasqueraded } from '../../src/netfilter/rules/masquerade/masquerade'
import { addrList } from '../../src/netlink/addr'
import { linkByName, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { insideNetns } from '../../src/netns/netns'
import { type BridgeConf, readBridgeConf } from './config'
import { leaseFolder } from './ipam-call'
import { loadDropInvalid, loadRemoval } from './masquerade'
import { findHostVeth } from './veth'
import { vlanInterfaceName } from './vlan-gateway'

const idOf = (call: Call, { network }: BridgeConf): Attachment => {
  const { containerID, ifName } = call.env
  return { network, containerID, ifName }
}

/** Why the container's namespace, which is there, cannot be worked in; undefined if it can, or if it is gone. */
type Obstacle = CniError | undefined

/** The state of the interface inside: `addresses` are those it had. */
type Deletion = { readonly addresses: readonly Cidr[]; readonly obstacle: Obstacle }

const notThere: Deletion = { addresses: [], obstacle: undefined }

/**
 * Deletes the container's interface from inside and returns the addresses it had; `meanwhile` gets them before the
 * kernel begins. An interface of that name which is no veth is nothing this plugin ever made, and stays.
 */
const takeDownLink = (
  nl: NetlinkSocket,
  ifName: string,
  meanwhile: (addresses: readonly Cidr[]) => void,
): Deletion => {
  const link = linkByName(nl, ifName)
  if (link?.kind !== 'veth') return notThere
  const addresses = addrList(nl, { index: link.index })
    .map(({ cidr }) => cidr)
    .filter(({ addr }) => !isLinkLocal(addr))
  meanwhile(addresses)
  linkDel(nl, link)
  return { addresses, obstacle: undefined }
}

const takeDownInContainer = (
  { env, netns, outOfReach }: Call,
  meanwhile: (addresses: readonly Cidr[]) => void,
): Deletion => {
  if (!netns) return { addresses: [], obstacle: outOfReach }
  let nl: NetlinkSocket
  try {
    nl = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  } catch (error) {
    if (!isFrom(error, 'netns')) throw error
    // EINVAL: the path leads to a file that is no network namespace (any more).
    return { addresses: [], obstacle: error.code === 'EINVAL' ? undefined : CniError.from(error) }
  }
  try {
    return takeDownLink(nl, env.ifName, meanwhile)
  } finally {
    nl.close()
  }
}

/** Deletes the host's end, where the namespace is out of reach or the container's end was renamed. Says if it was there. */
const takeDownOnHost = (id: Attachment, { vethPrefix }: BridgeConf): boolean =>
  withNetlink(NETLINK_ROUTE, nl => {
    const link = findHostVeth(nl, id, vethPrefix)
    if (link) linkDel(nl, link)
    return link !== undefined
  })

/**
 * Is the attachment's veth pair gone for sure? Its result names the host's end, which an alias need not do: the
 * reference sets none. Both ends of a pair go together.
 */
const isPairGone = (call: Call, conf: BridgeConf): boolean => {
  const { interfaces } = knownResult(call)
  const others = [conf.bridge, vlanInterfaceName(conf)]
  const ends = interfaces.filter(({ name, sandbox }) => !sandbox && !others.includes(name))
  if (ends.length === 0) return false
  return withNetlink(NETLINK_ROUTE, nl => ends.every(({ name }) => linkByName(nl, name)?.kind !== 'veth'))
}

/** The failure of a DEL that did all but what is inside of the namespace. */
const leftInside = ({ code, message, details }: CniError, { ifName }: Attachment): CniError =>
  new CniError(code, message, {
    details: [details, `all that is outside of it was removed, "${ifName}" may be left in it: call DEL again`]
      .filter(Boolean)
      .join('; '),
  })

/** The prevResult; an empty one if there is none or it cannot be read. */
const knownResult = (call: Call): Pick<Result, 'interfaces' | 'ips'> => {
  const nothing = { interfaces: [], ips: [] }
  try {
    return prevResultOf(call) ?? nothing
  } catch {
    return nothing // a broken cache must not keep anything from being cleaned
  }
}

/** Has the container another interface on this network? */
const hasSibling = (id: Attachment): boolean =>
  withNetlink(NETLINK_ROUTE, nl =>
    linkList(nl).some(({ alias }) => {
      const other = parseAlias(alias)
      return (
        other !== undefined && isAliasOf(alias, { ...id, ifName: other.ifName }) && other.ifName !== id.ifName
      )
    }),
  )

/**
 * Which of the rules of its container are the attachment's, where they name no interface. Its leases tell, which the
 * host keeps, then its addresses: those of its result and those it has now. Of any other address the rule goes unless
 * the container has another interface on the network.
 */
const doomedRules = (call: Call, id: Attachment, inside: readonly Cidr[]): Unmasqueraded => {
  const known = knownResult(call).ips.map(({ address }) => address)
  const own = [...known, ...inside].map(({ addr }) => formatAddr(addr))
  const dataDir = leaseFolder(call)
  return {
    id,
    known,
    isDoomed: address => {
      const lease = leaseOn(id.network, address, dataDir)
      if (lease) return lease.containerID !== id.containerID || isLeaseOf(lease, id)
      return own.includes(address) || !hasSibling(id)
    },
  }
}

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
    const remove = await loadRemoval()
    const id = idOf(call, conf)
    return new RuleRemoval(inside => remove(doomedRules(call, id, inside)))
  }

  begin(addresses: readonly Cidr[]): void {
    // A failure is kept for the step that ends the removal: by then it would have no listener.
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

const takeDownDropInvalid = async (call: Call, conf: BridgeConf): Promise<void> => {
  if (conf.masquerade?.dropInvalid) await (await loadDropInvalid()).takeDown(idOf(call, conf))
}

const takeDownSpoofCheck = async (call: Call, conf: BridgeConf): Promise<void> => {
  if (!conf.macSpoofCheck) return
  const { spoofCheckRules } = await import('../../src/netfilter/rules/spoof-check/nft.js')
  await spoofCheckRules.takeDown(call.env)
}

type Step = () => void | Promise<void>

/** Deletes the veth pair. The last step fails where it may be left. */
const vethSteps = (call: Call, conf: BridgeConf, rules: RuleRemoval): { first: Step[]; last: Step } => {
  const id = idOf(call, conf)
  let deletion = notThere
  let wasOnHost = false
  return {
    first: [
      () => {
        deletion = takeDownInContainer(call, found => rules.begin(found))
        endStep('link')
      },
      () => {
        if (deletion.addresses.length === 0) wasOnHost = takeDownOnHost(id, conf)
      },
    ],
    last: () => {
      const { obstacle } = deletion
      if (obstacle && !wasOnHost && !isPairGone(call, conf)) throw leftInside(obstacle, id)
    },
  }
}

/** Removes what there is beside the veth pair. */
const otherSteps = (call: Call, conf: BridgeConf, rules: RuleRemoval): Step[] => {
  let hasRules = true
  return [
    async () => {
      await runAll([() => rules.end(), () => takeDownDropInvalid(call, conf)])
      hasRules = false
      endStep('masquerade')
    },
    async () => {
      // Rules that are left would apply to the next container with the address: it stays leased for the next DEL.
      if (conf.ipamType && !hasRules) await delegate(call, conf.ipamType, 'DEL')
      endStep('ipam')
    },
    () => takeDownSpoofCheck(call, conf),
    async () => {
      if (conf.prune) await (await import('./bridge.js')).takeDownUnusedBridge(conf)
    },
  ]
}

export const del = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  const rules = await RuleRemoval.of(call, conf)
  const { first, last } = vethSteps(call, conf, rules)
  await runAll([...first, ...otherSteps(call, conf, rules), last])
}

/** What `del` does for an attachment whose veth pair is gone: a search under all names it may have costs milliseconds. */
export const delWithoutVeth = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  await runAll(otherSteps(call, conf, await RuleRemoval.of(call, conf)))
}
