import { containerWithPod, podInArgs } from '../../src/attachment/attachment'
import type { LeaseOwner } from '../../src/attachment/lease'
import { validAttachments } from '../../src/cni/conf'
import { CniError, ErrorCode, runAll } from '../../src/cni/error'
import { type Call, type Plugin, prevResultOf } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { specVersions } from '../../src/cni/version'
import type { Undo } from '../../src/host/undo'
import { formatAddr } from '../../src/ip/addr'
import { allocate } from './allocator'
import { type HostLocalConf, readHostLocalConf } from './config'
import type { Holding, Leases } from './leases'
import { holdsPorts } from './liveness'
import { changeLeases, giveBack, holdingOf, leaseFoldersOf, ownerOf, readLeases } from './network'
import { rangeOf, type Span } from './range'
import { refuseFull } from './refusals'
import { readResolvConf } from './resolv-conf'

/** The stored addresses of the pod, if it is to get them again. */
const stickyPodOf = async (call: Call, conf: HostLocalConf) => {
  if (conf.stickyPod === undefined) return undefined
  const { StickyPod } = await import('./sticky.js')
  return new StickyPod(conf, conf.stickyPod, call.env.ifName)
}

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readHostLocalConf(call)
  const dns = conf.resolvConf === undefined ? {} : readResolvConf(conf.resolvConf)
  const leaseFolders = leaseFoldersOf(conf)
  const owner = ownerOf(call)
  const { containerID } = owner
  const netns = call.netns && { path: call.netns.path, dev: call.netns.dev, ino: call.netns.ino }
  const take = (avoided: readonly Span[]) =>
    changeLeases(leaseFolders, async leases => {
      if (leases.isNew) (await import('./rebuild.js')).rebuildLeases(leases, conf)
      const sticky = await stickyPodOf(call, conf)
      const preferred = sticky?.addresses() ?? []
      const withheld = [...conf.withheld, ...avoided]
      const allocated = allocate(leases, {
        ...conf,
        withheld,
        preferred,
        owner,
        caller: { containerID, netns },
      })
      const addresses = allocated.map(({ addr }) => formatAddr(addr))
      undo.add(`free ${addresses.join(', ')}`, () => giveBack(leaseFolders, owner, addresses))
      const pod = podInArgs(call.env.args)
      leases.note({ ...owner, pod }, [...(leases.of(owner)?.addresses ?? []), ...addresses], netns)
      sticky?.note(addresses)
      return allocated
    })
  const allocations =
    conf.probe === undefined
      ? await take([])
      : await (await import('./probe.js')).takeUnused(
          { probe: conf.probe, requested: conf.requested },
          { take, giveBack: addresses => giveBack(leaseFolders, owner, addresses) },
        )
  // Without the lock: the disk is slow, and writes what several have for it at once.
  leaseFolders.store.sync()
  const ips = allocations.map(({ addr, range }) => ({
    address: { addr, prefix: range.subnet.prefix },
    gateway: range.gateway,
  }))
  return { interfaces: [], ips, routes: [...conf.routes], dns }
}

const whose = ({ env }: Call, { containerID }: LeaseOwner): string =>
  containerWithPod({ containerID, pod: podInArgs(env.args) })

/** Throws if an address of prevResult is of the network's ranges but not the container's. */
const checkPrevResult = (call: Call, { rangeSets }: HostLocalConf, { owner, addresses }: Holding): void => {
  for (const { address } of prevResultOf(call)?.ips ?? []) {
    const text = formatAddr(address.addr)
    if (addresses.includes(text) || !rangeSets.some(set => rangeOf(set, address.addr))) continue
    throw new CniError(
      ErrorCode.internal,
      `host-local: ${text} of prevResult is not leased to container ${whose(call, owner)}, ${call.env.ifName}`,
      { details: `leased to it: ${addresses.join(', ')}` },
    )
  }
}

export const check = async (call: Call): Promise<void> => {
  const conf = readHostLocalConf(call)
  const leaseFolders = leaseFoldersOf(conf)
  const owner = ownerOf(call)
  const find = (leases: Leases) => holdingOf(leases, owner)
  const holding = leaseFolders.store.exists() ? await readLeases(leaseFolders, find) : undefined
  if (!holding) {
    // Not code 3, by which a runtime would forget the container, its veth and rules.
    throw new CniError(
      ErrorCode.internal,
      `host-local: Failed to find address added by container ${whose(call, owner)}`,
    )
  }
  checkPrevResult(call, conf, holding)
}

export const del = async (call: Call): Promise<void> => {
  const leaseFolders = leaseFoldersOf(readHostLocalConf(call))
  if (!leaseFolders.store.exists()) return
  await changeLeases(leaseFolders, leases => {
    const holding = holdingOf(leases, ownerOf(call))
    if (holding) leases.release(holding)
  })
}

/**
 * Has portmap remove the host ports of those that are not valid. Runtimes call GC in the order of the list, in which
 * portmap's turn comes after this one's, and by then the addresses would be free.
 */
const removePorts = async (call: Call): Promise<void> => {
  const portmap = await call.builtIns.get('portmap')?.()
  const { cniVersion, name } = call.conf
  await portmap?.gc({ ...call, raw: { cniVersion, name, type: 'portmap' } })
}

export const gc = async (call: Call): Promise<void> => {
  const leaseFolders = leaseFoldersOf(readHostLocalConf(call))
  const valid = validAttachments(call.conf)
  if (!leaseFolders.store.exists()) return
  const attachments = new Set(valid.map(({ containerID, ifName }) => `${containerID}\r\n${ifName}`))
  const containers = new Set(valid.map(({ containerID }) => containerID))
  const isValid = ({ containerID, ifName }: LeaseOwner): boolean =>
    ifName === undefined ? containers.has(containerID) : attachments.has(`${containerID}\r\n${ifName}`)
  await changeLeases(leaseFolders, leases => {
    const stale = leases.all().filter(({ owner }) => !isValid(owner))
    const leadsTo = ({ owner }: Holding) => holdsPorts(call.conf.name, owner)
    return runAll([
      ...leases.torn().map(address => () => leases.releaseAddress(address)),
      () => (stale.some(leadsTo) ? removePorts(call) : undefined),
      // If that failed there are rules yet, and no other program may have these addresses.
      ...stale.map(holding => () => (leadsTo(holding) ? undefined : leases.release(holding))),
      () => leaseFolders.cooldown.forgetEnded(leaseFolders.here.now()),
    ])
  })
}

const unusable = (what: string, error: unknown): CniError => {
  const { message, details } = CniError.from(error)
  return new CniError(ErrorCode.pluginNotAvailable, `host-local: ${what} cannot be used`, {
    details: [message, details].filter(Boolean).join('; '),
  })
}

/** Could an address of each range set be given out now? Throws code 50 with the reason if not. */
export const status = async (call: Call): Promise<void> => {
  const conf = readHostLocalConf(call)
  try {
    if (conf.resolvConf !== undefined) readResolvConf(conf.resolvConf)
  } catch (error) {
    throw unusable(`"resolvConf": ${conf.resolvConf}`, error)
  }
  try {
    if (conf.probe !== undefined) (await import('./probe.js')).probeAsking(conf.probe)
  } catch (error) {
    throw unusable(`"probe": ${conf.probe}`, error)
  }
  try {
    await changeLeases(leaseFoldersOf(conf), leases => {
      leases.probeWriting(conf.rangeSets.length)
      for (const set of conf.rangeSets) refuseFull(leases, set, conf.withheld)
    })
  } catch (error) {
    if (error instanceof CniError && error.code === ErrorCode.pluginNotAvailable) throw error
    throw unusable(conf.dataDir, error)
  }
}

/** IPAM from address ranges of the node, the leases in files: the counterpart of the reference's host-local. */
export const plugin: Plugin = { name: 'host-local', versions: specVersions, add, check, del, gc, status }
