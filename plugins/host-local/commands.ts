import { validAttachments } from '../../src/cni/conf'
import { CniError, ErrorCode, runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { parseResult, type Result } from '../../src/cni/result'
import { readBootID } from '../../src/host/boot'
import type { Undo } from '../../src/host/undo'
import { type Addr, formatAddr } from '../../src/ip/addr'
import { type Allocation, allocate, leasedIn } from './allocator'
import { type HostLocalConf, readHostLocalConf } from './config'
import { Leases } from './leases'
import { capacityOf, formatRangeSet, rangeOf } from './range'
import { RecordStore } from './record'
import { readResolvConf } from './resolv-conf'
import { LeaseStore } from './store'

const storesOf = ({ dataDir, network }: HostLocalConf) => ({
  store: new LeaseStore(dataDir, network),
  records: new RecordStore(dataDir, network),
})

/** Works on the network's leases under its lock. */
const withLeases = <T>(conf: HostLocalConf, work: (leases: Leases) => T): Promise<T> => {
  const { store, records } = storesOf(conf)
  return store.locked(() => work(new Leases(store, records)))
}

/** One address of each range set; an address asked for goes to the first set that contains it, one to a set. */
const allocateAll = (leases: Leases, conf: HostLocalConf, call: Call): Allocation[] => {
  const { containerID, ifName } = call.env
  const allocations: Allocation[] = []
  let requests: readonly Addr[] = conf.requested
  try {
    conf.rangeSets.forEach((set, index) => {
      const requested = requests.find(addr => rangeOf(set, addr))
      requests = requests.filter(addr => addr !== requested)
      const request = { containerID, ifName, set, index, requested, excluded: conf.excluded }
      allocations.push(allocateOne(leases, request))
    })
    if (requests.length > 0) {
      const left = requests.map(formatAddr).join(' ')
      throw new CniError(ErrorCode.invalidNetworkConfig, `failed to allocate all requested IPs: ${left}`)
    }
    return allocations
  } catch (error) {
    for (const { addr } of allocations) leases.release(formatAddr(addr))
    throw error
  }
}

const allocateOne = (leases: Leases, request: Parameters<typeof allocate>[1]): Allocation => {
  try {
    return allocate(leases, request)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(error.code, `failed to allocate for range ${request.index}: ${error.message}`, {
      details: error.details,
    })
  }
}

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readHostLocalConf(call)
  const dns = conf.resolvConf === undefined ? {} : readResolvConf(conf.resolvConf)
  const { containerID, ifName } = call.env
  const allocations = await withLeases(conf, leases => {
    const allocated = allocateAll(leases, conf, call)
    const addresses = allocated.map(({ addr }) => formatAddr(addr))
    undo.add(`give back ${addresses.join(', ')}`, () => del(call))
    const { path, dev, ino } = call.netns ?? {}
    const netns =
      path !== undefined && dev !== undefined && ino !== undefined ? { path, dev, ino } : undefined
    leases.records.write({ containerID, ifName, addresses, netns, bootID: readBootID(), time: Date.now() })
    return allocated
  })
  const ips = allocations.map(({ addr, range }) => ({
    address: { addr, prefix: range.subnet.prefix },
    gateway: range.gateway,
  }))
  return { interfaces: [], ips, routes: [...conf.routes], dns }
}

export const check = async (call: Call): Promise<void> => {
  const conf = readHostLocalConf(call)
  const { containerID, ifName } = call.env
  const leased = await withLeases(conf, leases => {
    const addresses = leases.of(containerID, ifName)
    return addresses.length > 0 ? addresses : leases.ofContainerAlone(containerID)
  })
  if (leased.length === 0) {
    throw new CniError(
      ErrorCode.unknownContainer,
      `host-local: Failed to find address added by container ${containerID}`,
    )
  }
  if (call.conf.prevResult === undefined) return
  const { ips } = parseResult(call.conf.prevResult, call.version, 'prevResult')
  for (const { address } of ips) {
    const text = formatAddr(address.addr)
    const ours = conf.rangeSets.some(set => rangeOf(set, address.addr))
    if (!ours || leased.includes(text)) continue
    throw new CniError(
      ErrorCode.internal,
      `host-local: ${text} of prevResult is not leased to container ${containerID}, ${ifName}`,
      { details: `leased to it: ${leased.join(', ')}` },
    )
  }
}

export const del = async (call: Call): Promise<void> => {
  const conf = readHostLocalConf(call)
  if (!storesOf(conf).store.exists()) return
  const { containerID, ifName } = call.env
  await withLeases(conf, leases => {
    const named = leases.of(containerID, ifName)
    const addresses = named.length > 0 ? named : leases.ofContainerAlone(containerID)
    for (const address of addresses) leases.release(address)
    for (const entry of leases.recordsOf(containerID, ifName)) leases.records.remove(entry)
  })
}

export const gc = async (call: Call): Promise<void> => {
  const conf = readHostLocalConf(call)
  const valid = validAttachments(call.conf)
  if (!storesOf(conf).store.exists()) return
  const isValid = (containerID: string, ifName: string | undefined) =>
    valid.some(
      attachment =>
        attachment.containerID === containerID && (ifName === undefined || attachment.ifName === ifName),
    )
  await withLeases(conf, leases =>
    runAll([
      ...[...leases.addresses].map(address => () => {
        const owner = leases.store.owner(address)
        if (!owner || !isValid(owner.containerID, owner.ifName)) leases.release(address)
      }),
      () => leases.removeStaleRecords(),
    ]),
  )
}

export const status = async (call: Call): Promise<void> => {
  const conf = readHostLocalConf(call)
  await withLeases(conf, leases => {
    for (const set of conf.rangeSets) {
      const used = leasedIn(leases, set, conf.excluded).length
      const total = capacityOf(set, conf.excluded)
      if (BigInt(used) < total) continue
      throw new CniError(
        ErrorCode.pluginNotAvailable,
        `host-local: no IP addresses available in range set: ${formatRangeSet(set)}`,
        { details: `${used} of ${total} in use` },
      )
    }
  }).catch(error => {
    if (error instanceof CniError) throw error
    throw new CniError(ErrorCode.pluginNotAvailable, `host-local: ${conf.dataDir} can't be used`, {
      cause: error,
    })
  })
}
