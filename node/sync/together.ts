/**
 * The elements of all of kubenet's pods in one batch, where the whole table is gone, as after "nft flush ruleset": pod by
 * pod, a hundred of them would wait for more than a second. What it leaves is for the comparison of each pod.
 */
import { findHostVeth } from '../../plugins/bandwidth/host-veth'
import { type KubenetPod, podOf, portsOfCall, takeDownPod } from '../../plugins/kubenet/attachment'
import { type KubenetConf, readKubenetConf } from '../../plugins/kubenet/config'
import { inNewestVersion } from '../../plugins/kubenet/parts'
import { siblingComments } from '../../plugins/kubenet/shared-ports'
import { ownerOf } from '../../plugins/portmap/claims'
import { takeDownFlows } from '../../plugins/portmap/conntrack'
import { keyOf } from '../../src/attachment/attachment'
import { chooseBackend } from '../../src/netfilter/backend'
import { tableList } from '../../src/netfilter/nft/read'
import { ifNftables } from '../../src/netfilter/nft/socket'
import { addTogether } from '../../src/netfilter/rules/pods/nft'
import { formatPlaced, table } from '../../src/netfilter/rules/pods/nft-rules'
import type { Link } from '../../src/netlink/link'
import { NETLINK_NETFILTER, NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { closeNetns, type Netns } from '../../src/netns/netns'
import { alone } from '../../src/runtime/lock'
import type { Rebuilt } from './rebuilt'
import { callFor, openRecorded, type RecordedAttachment, readAgain } from './records'
import { reasonOf } from './sync'

/** A pod whose interface is there, and the host's end of it. */
type Living = {
  readonly record: RecordedAttachment
  readonly conf: KubenetConf
  readonly pod: KubenetPod
  readonly veth: Link
}

/** Host ports that are not the pod's own for sure are left to the comparison. */
const ownsPorts = ({ id, ports }: KubenetPod): boolean => {
  if (ports.mappings.length === 0) return true
  const owner = ownerOf(id)
  return owner !== undefined && (owner.waiting ?? []).length === 0 && siblingComments(id).size === 0
}

const livingIn = (record: RecordedAttachment, netns: Netns): Living | undefined => {
  const plugin = record.list.plugins.find(({ type }) => type === 'kubenet')
  const veth = plugin && withNetlink(NETLINK_ROUTE, nl => findHostVeth(nl, netns, record.entry))
  if (!veth) return undefined
  const call = inNewestVersion(callFor(record, plugin, netns))
  const conf = readKubenetConf(call)
  if (chooseBackend(conf.backend) !== 'nftables') return undefined
  const pod = podOf(call, conf, record.result, portsOfCall(call, 'nftables'))
  return ownsPorts(pod) ? { record, conf, pod, veth } : undefined
}

/** The pod of a record; undefined for one that is gone or of another plugin, or that the comparison has to look at. */
const living = (seenBefore: RecordedAttachment, cacheDir: string): Living | undefined => {
  const record = readAgain(cacheDir, seenBefore)
  const netns = record && openRecorded(record)
  if (!netns) return undefined
  try {
    return livingIn(record, netns)
  } catch {
    return undefined // the comparison fails with the same, and tells of it
  } finally {
    closeNetns(netns)
  }
}

/** The most pods of a batch, which is one datagram. */
const mostPods = 100

/** What was added for a pod in words, what takes it back, and what failed after it. */
export type Added = { readonly text: string; readonly rebuilt: Rebuilt; readonly failures: readonly string[] }

/** Forgets the flows that go elsewhere; answers what failed: the pod's rules are there, and must be removed in any case. */
const forgetFlows = ({ ports }: KubenetPod): string[] => {
  try {
    takeDownFlows(ports)
    return []
  } catch (error) {
    return [reasonOf(error)]
  }
}

const addBatch = (pods: readonly Living[], conf: KubenetConf, added: Map<string, Added>): void => {
  const placed = withNetlink(NETLINK_NETFILTER, nl =>
    addTogether(
      nl,
      conf,
      pods.map(({ pod }) => pod),
    ),
  )
  for (const [index, { record, pod, veth }] of pods.entries()) {
    const elements = placed[index] ?? []
    if (elements.length === 0) continue
    const text = `table "inet kubenet": add ${elements.map(formatPlaced).join(', ')}`
    const rebuilt = { record, veth, takeBacks: [() => takeDownPod(pod)] }
    added.set(keyOf(record.entry), { text, rebuilt, failures: forgetFlows(pod) })
  }
}

const addAll = (pods: readonly Living[], added: Map<string, Added>): void => {
  for (let at = 0; at < pods.length; at += mostPods) {
    const some = pods.slice(at, at + mostPods)
    const [first] = some
    if (!first) return
    try {
      addBatch(some, first.conf, added)
    } catch {
      // The comparison of each pod does it again, and tells what failed.
    }
  }
}

const isTableThere = (): boolean =>
  ifNftables(nl =>
    tableList(nl, table.family).some(({ family, name }) => family === table.family && name === table.name),
  ) ?? true

const addMissing = async (
  records: readonly RecordedAttachment[],
  cacheDir: string,
  added: Map<string, Added>,
): Promise<void> => {
  if (!records.some(({ list }) => list.plugins.some(({ type }) => type === 'kubenet')) || isTableThere())
    return
  await alone(cacheDir, () => {
    const pods = records.flatMap(record => living(record, cacheDir) ?? [])
    const networks = new Set(pods.map(({ conf }) => conf.network))
    for (const name of networks)
      addAll(
        pods.filter(({ conf }) => conf.network === name),
        added,
      )
  })
}

/**
 * Brings back the elements of all pods if the table is gone. Answers what was added, by the attachment's record, whatever
 * fails: what was not added is for the comparison of each pod, which tells of the failure.
 */
export const rebuildTogether = async (
  records: readonly RecordedAttachment[],
  cacheDir: string,
): Promise<Map<string, Added>> => {
  const added = new Map<string, Added>()
  try {
    await addMissing(records, cacheDir, added)
  } catch {
    // A lock that was not had in time, say: each pod waits for it again.
  }
  return added
}
