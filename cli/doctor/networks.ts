/** The networks' configurations, their plugins and their addresses. */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Places } from '../../node/command/places'
import { conflistName } from '../../node/conflist/conflist'
import { mountOf, readMounts } from '../../node/mounts'
import type { Network } from '../../node/survey/networks'
import type { Pool } from '../../node/survey/survey'
import { agentRuns } from '../frame/agent-process'
import { missingTypes, noNewPods, unexecutable, unexecutableRemedy } from '../frame/networks'
import { count } from '../frame/units'
import { type Check, type Diagnosis, fault, notSeen, orOk } from './diagnosis'

const configured = (network: Network): boolean => network.file !== undefined

const problemsOf = ({ name, file, problems }: Network): Diagnosis[] =>
  problems.map(problem =>
    fault('KN0017', {
      says: `network "${name}": ${problem}`,
      remedy: `correct it in ${file ?? 'its file'}`,
    }),
  )

/** Out of the folder: runtimes read all files in it that end like networks. */
const moveAway = (file: string, { confDir }: Places): string => `mv ${file} ${dirname(confDir)}/`

/** Some editors begin a file with this mark of UTF-8, which is no JSON. */
const hasByteOrderMark = (file: string): boolean => {
  try {
    const [first, second, third] = readFileSync(file)
    return first === 0xef && second === 0xbb && third === 0xbf
  } catch {
    return false
  }
}

const repairOf = (file: string, places: Places): string =>
  hasByteOrderMark(file)
    ? `sed -i '1s/^\\xEF\\xBB\\xBF//' ${file}: it begins with a byte order mark`
    : `correct it, or ${moveAway(file, places)}`

const files: Check = ({ survey, places }) => {
  const { networks, brokenFiles, lists, unread } = survey.readings
  const denied = unread.find(({ what }) => what === 'the networks')
  if (denied) return [notSeen('networks', denied.why)]
  const lines = [
    ...brokenFiles.map(({ file, why }) =>
      fault(lists.length > 0 ? 'KN0015' : 'KN0016', {
        says: `a file is skipped: ${why}`,
        remedy: repairOf(file, places),
      }),
    ),
    ...networks.filter(configured).flatMap(problemsOf),
  ]
  if (lists.length === 0 && brokenFiles.length === 0) {
    const remedy = '"kubenet config --pod-cidr … --write" makes one'
    lines.push(fault('KN0018', { says: `there is no network in ${places.confDir}`, remedy }))
  }
  const names = lists.map(({ name }) => `"${name}"`).join(', ')
  return orOk(lines, 'networks', `${count(lists.length, 'network')}, ${names}: read without complaint`)
}

/** A meta plugin calls the networks that come after it. */
const metaPlugins = ['multus', 'multus-shim']

/** Another network that runtimes take where kubenet's is meant: it sorts first, or kubenet's is not there yet. */
const others: Check = ({ survey, places }) => {
  const { networks } = survey.readings
  const [first] = networks.filter(configured)
  if (!first || first.types.some(type => metaPlugins.includes(type))) return []
  const own = `${places.confDir}/${conflistName}`
  const isOwn = first.file === own
  if (isOwn || (!networks.some(({ file }) => file === own) && !agentRuns())) return []
  const says = networks.some(({ file }) => file === own)
    ? `${first.file} comes before ${conflistName}: new pods get network "${first.name}"`
    : `kubenet-agent has not written ${conflistName} yet, and ${first.file} makes the node ready: new pods get network "${first.name}"`
  const remedy = `${moveAway(first.file ?? '', places)}, and restart the pods that use it`
  return [fault('KN0019', { says, remedy })]
}

/** A plugin that cannot be executed because of its mode or mount. */
const barredLine = (path: string): Diagnosis => {
  const mount = mountOf(realpathSync(path), readMounts())
  const isOfMount = ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o111) !== 0
  if (!mount?.options.has('noexec') || !isOfMount)
    return fault('KN0021', { says: `"${path}" is not executable`, remedy: unexecutableRemedy(path) })
  const says = `"${path}" is on a file system that is mounted noexec, ${mount.point}`
  return fault('KN0067', { says, remedy: `mount -o remount,exec ${mount.point}, and in /etc/fstab` })
}

/** The agent refuses new pods where the node's ranges change under those that run. */
const refusing: Check = ({ survey }) =>
  survey.readings.lists.flatMap(list => {
    const reason = noNewPods(list)
    const says = `network "${list.name}" takes no new pods: ${reason}`
    const remedy =
      'kubectl drain NODE --ignore-daemonsets, delete the pods of DaemonSets that still have old addresses, then ' +
      `"kubenet gc ${list.name} --yes --all" for containers that ended`
    return reason === '' ? [] : [fault('KN0058', { says, remedy })]
  })

const plugins: Check = ({ survey, places }) => {
  const { lists } = survey.readings
  const lines = lists.flatMap(list =>
    missingTypes(list, places).map(type =>
      fault('KN0020', {
        says: `network "${list.name}" needs plugin "${type}", not found in ${places.binDirs.join(':')}`,
        remedy: '"kubenet install" puts ours in place, "kubenet plugins" shows what is there',
      }),
    ),
  )
  const barred = new Set(lists.flatMap(list => unexecutable(list, places)))
  for (const path of barred) lines.push(barredLine(path))
  if (lists.length > 0 && !places.binDirs.some(folder => existsSync(`${folder}/loopback`))) {
    const says = `plugin "loopback" is not in ${places.binDirs.join(':')}: containerd and CRI-O call it for every pod`
    lines.push(fault('KN0071', { says, remedy: '"kubenet install" puts ours in place' }))
  }
  return orOk(lines, 'plugins', `the plugins of all networks are in ${places.binDirs.join(':')}`)
}

/** From this part of a pool on, the doctor speaks of it. */
const scarce = 0.9

const poolLine = ({ network, ranges, total, used, leaked, free }: Pool): Diagnosis[] => {
  if (total === 0 || used < total * scarce) return []
  const lost = leaked > 0 ? `, ${leaked} of them leaked` : ''
  const says = `network "${network}": ${used} of ${total} addresses in ${ranges} are used${lost}, ${free} free`
  const remedy =
    leaked > 0
      ? `"kubenet gc ${network}" frees leaked ones`
      : `give the network a larger range; in a cluster: lower kubelet's maxPods to what the range has (kubectl get node -o ` +
        'custom-columns=NAME:.metadata.name,RANGE:.spec.podCIDR,PODS:.status.capacity.pods), or give nodes larger ' +
        "ranges (kube-controller-manager's --node-cidr-mask-size)"
  return [fault(free === 0 && leaked === 0 ? 'KN0022' : 'KN0023', { says, remedy })]
}

const pools: Check = ({ survey }) => {
  const least = Math.min(...survey.pools.map(({ free }) => free))
  const well =
    survey.pools.length === 0 ? 'no network gives out any' : `there is room for ${least} more containers`
  return orOk(survey.pools.flatMap(poolLine), 'addresses', well)
}

export const networkChecks: readonly Check[] = [files, others, refusing, plugins, pools]
