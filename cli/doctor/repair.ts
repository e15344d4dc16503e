/**
 * The repairs of --fix. Time has passed since the survey: each repair looks again, at the very object, whether it is
 * still to be done, under the lock or in the batch that keeps others out.
 */
import { CliError, ExitCode } from '../../node/command/failure'
import type { LinkRepair, Repair } from '../../node/survey/finding'
import type { RulesetElement } from '../../node/survey/ruleset'
import { isUsed } from '../../plugins/bandwidth/ifb'
import { findAbandoned } from '../../plugins/host-local/liveness'
import { changeLeases, leaseFoldersOf } from '../../plugins/host-local/network'
import { takeDownClaims } from '../../plugins/portmap/claims'
import { dropClaim, hasEnded, readRival } from '../../plugins/portmap/records'
import { containerWithPod } from '../../src/attachment/attachment'
import { hostportsFolder } from '../../src/attachment/host-ports'
import { withLock } from '../../src/host/lock'
import { writeSysctl } from '../../src/host/sysctl'
import { parseAddr } from '../../src/ip/addr'
import { thisHost } from '../../src/life/host-view'
import { eraseElements } from '../../src/netfilter/rules/pods/nft'
import { placeOfClaim, podsSet } from '../../src/netfilter/rules/pods/nft-rules'
import { type Link, linkByIndex, linkByName, linkDel, linkSet } from '../../src/netlink/link'
import { NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { closeNetns, insideNetns, openNetns } from '../../src/netns/netns'
import { delStaleAttachment } from '../../src/runtime/gc'
import { alone } from '../../src/runtime/lock'
import { runtimeOptions } from '../frame/networks'
import { readSurvey } from '../frame/survey'
import type { Patient } from './diagnosis'
import { describeRemoved, removeKubelets } from './kubelet'

type RepairOf<K extends Repair['do']> = Extract<Repair, { readonly do: K }>

/** Does another survey come to the same? A runtime may have added the container again. */
const isStillFound = async (repair: Repair, { places, io }: Patient): Promise<boolean> => {
  const wanted = JSON.stringify(repair)
  const { findings } = await readSurvey(places, io)
  return findings.some(found => JSON.stringify(found.repair) === wanted)
}

const detach = async (repair: RepairOf<'detach'>, patient: Patient): Promise<boolean> => {
  const { network, containerID, ifName } = repair.owner
  const list = patient.survey.readings.lists.find(({ name }) => name === network)
  if (!list) throw new CliError(ExitCode.notFound, `network "${network}" is not configured any more`)
  return delStaleAttachment(
    list,
    { containerID, ifName, isStale: () => isStillFound(repair, patient) },
    runtimeOptions(patient.places, patient.io),
  )
}

const nobody = { containerID: '', netns: undefined }

const releaseLease = (
  { dataDir, network, address }: RepairOf<'release-lease'>,
  { survey }: Patient,
): Promise<void> => {
  const configured = survey.readings.networks.find(({ name }) => name === network)?.ipam
  const cooldownSeconds = configured?.cooldownSeconds ?? 0
  const leaseFolders = leaseFoldersOf({ dataDir, network, cooldownSeconds })
  return changeLeases(leaseFolders, leases => {
    const { torn, ended } = findAbandoned(leases, nobody, leased => leased === address)
    for (const leased of torn) leases.releaseAddress(leased)
    for (const holding of ended) leases.release(holding)
  })
}

const releaseOwner = async ({ owner }: RepairOf<'release-ports'>): Promise<void> => {
  await takeDownClaims(owner, { isDue: found => hasEnded(found, thisHost()) })
}

const dropStrayClaim = ({ claim, holder }: RepairOf<'drop-claim'>): Promise<void> =>
  withLock(`${hostportsFolder}/lock`, () => {
    if (!readRival(hostportsFolder, holder)) dropClaim(hostportsFolder, claim, holder)
  })

const placeOf = (element: RulesetElement) => {
  if (element.kind === 'port') return placeOfClaim(element.claim)
  const addr = parseAddr(element.address)
  return addr && { set: podsSet(element.network, addr.family), key: [addr] }
}

/** An attachment that comes back has the same elements, so that their text alone tells nothing. */
const eraseElement = (repair: RepairOf<'erase-element'>, patient: Patient): Promise<boolean> =>
  alone(patient.places.cacheDir, async () => {
    if (!(await isStillFound(repair, patient))) return false
    const { element } = repair
    const place = placeOf(element)
    if (place) withNetlink(NETLINK_NETFILTER, nl => eraseElements(nl, [place], element.comment))
    return true
  })

const deleteIfb = ({ name, index }: RepairOf<'delete-ifb'>): void =>
  withNetlink(NETLINK_ROUTE, nl => {
    const link = linkByIndex(nl, index)
    if (link?.kind === 'ifb' && link.name === name && !isUsed(nl, link)) linkDel(nl, link)
  })

/** The host's end as it was when it was looked at; undefined if it is gone or another program's by now. */
const sameVeth = (nl: NetlinkSocket, { name, index, alias }: LinkRepair): Link | undefined => {
  const link = linkByIndex(nl, index)
  return link?.name === name && link.alias === alias ? link : undefined
}

const setMtuInside = ({ inside, mtu }: LinkRepair): void => {
  if (!inside || mtu === undefined) return
  const netns = openNetns(inside.netns)
  try {
    if (netns.ino !== inside.ino) return
    const nl = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
    try {
      const link = linkByName(nl, inside.name)
      if (link) linkSet(nl, link, { mtu })
    } finally {
      nl.close()
    }
  } finally {
    closeNetns(netns)
  }
}

const setLink = ({ link: wanted }: RepairOf<'set-link'>): void =>
  withNetlink(NETLINK_ROUTE, nl => {
    const veth = sameVeth(nl, wanted)
    if (!veth) return
    const { bridge, mtu, up } = wanted
    const master = bridge === undefined ? undefined : linkByName(nl, bridge)?.index
    linkSet(nl, veth, {
      ...(master !== undefined && { master }),
      ...(mtu !== undefined && { mtu }),
      ...(up && { up }),
    })
    setMtuInside(wanted)
  })

/** Puts one thing right, if it still is as it was. Throws what fails; says whether there was still something to do. */
export const carryOut = async (repair: Repair, patient: Patient): Promise<boolean> => {
  if (repair.do === 'detach') return detach(repair, patient)
  if (repair.do === 'erase-element') return eraseElement(repair, patient)
  if (repair.do === 'remove-kubelet')
    return removeKubelets(repair, await readSurvey(patient.places, patient.io))
  await carryOutAlone(repair, patient)
  return true
}

/** Those that look again at the very object. */
const carryOutAlone = async (
  repair: Exclude<Repair, { readonly do: 'detach' | 'erase-element' | 'remove-kubelet' }>,
  patient: Patient,
): Promise<void> => {
  switch (repair.do) {
    case 'release-lease':
      return releaseLease(repair, patient)
    case 'release-ports':
      return releaseOwner(repair)
    case 'drop-claim':
      return dropStrayClaim(repair)
    case 'delete-ifb':
      return deleteIfb(repair)
    case 'set-sysctl':
      return writeSysctl(repair.key, repair.value)
    case 'set-link':
      return setLink(repair)
  }
}

/** The order they are carried out in: ports are given back after all that leads by them is gone. */
const order: readonly Repair['do'][] = [
  'set-sysctl',
  'set-link',
  'detach',
  'erase-element',
  'release-lease',
  'delete-ifb',
  'release-ports',
  'drop-claim',
  'remove-kubelet',
]

/** Each repair once, in their order: what is left of one container has several lines and one repair. */
export const distinctRepairs = (repairs: readonly Repair[]): Repair[] =>
  [...new Map(repairs.map(repair => [JSON.stringify(repair), repair])).values()].sort(
    (a, b) => order.indexOf(a.do) - order.indexOf(b.do),
  )

/** A repair in words. */
export const describeRepair = (repair: Repair): string => {
  switch (repair.do) {
    case 'detach':
      return `deleted what was left of container ${containerWithPod(repair.owner)}, interface ${repair.owner.ifName}, on network "${repair.owner.network}"`
    case 'release-lease':
      return `freed ${repair.address} of network "${repair.network}"`
    case 'release-ports':
      return `freed the host ports of container ${containerWithPod(repair.owner)}`
    case 'drop-claim':
      return `removed the claim ${repair.claim}`
    case 'erase-element':
      return `removed the element of ${repair.element.address} from ${repair.element.set}`
    case 'delete-ifb':
      return `deleted ifb ${repair.name}`
    case 'set-sysctl':
      return `set ${repair.key.replaceAll('/', '.')} to ${repair.value}`
    case 'set-link':
      return `set up veth ${repair.link.name}`
    case 'remove-kubelet':
      return describeRemoved(repair)
  }
}
