/** What the numbers were measured on. */
import { execFileSync } from 'node:child_process'
import { readFileSync, statfsSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { fetchedVersion } from './peers.mjs'

const firstLine = (program, args, options = {}) => {
  try {
    const text = execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    })
    return text.split('\n')[0].trim()
  } catch {
    return 'unknown'
  }
}

const distribution = () =>
  /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux'

const usualPath = { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }

/** A plugin that is called without a command says who it is, on stderr; Debian's do not know their version. */
const versionOf = bins => {
  const fetched = fetchedVersion(bins)
  if (fetched !== undefined) return fetched
  const version = firstLine('sh', ['-c', `${bins}/bridge </dev/null 2>&1`], usualPath)
  if (!version.endsWith('unknown')) return version
  const owner = firstLine('dpkg', ['-S', `${bins}/bridge`], usualPath).split(':')[0]
  const installed = firstLine('sh', ['-c', `dpkg-query -W ${owner}`], usualPath)
  return installed === 'unknown' ? version : `${installed.replace('\t', ' ')} (Debian)`
}

// <linux/magic.h>, of what is usual for /var/tmp.
const fileSystems = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlay'],
  [0x2fc12fc1, 'zfs'],
])

/** The file system of the folder that stands for /var/lib/cni on a disk. */
const diskKind = () => {
  const { type } = statfsSync('/var/tmp')
  return fileSystems.get(type) ?? `0x${type.toString(16)}`
}

/** The head of every report. */
export const describeMachine = bins => ({
  date: new Date().toISOString().slice(0, 10),
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memoryGB: Math.round(totalmem() / 1e9),
  arch: arch(),
  system: distribution(),
  kernel: /^\d+\.\d+(\.\d+)?/.exec(release())?.[0] ?? 'unknown',
  node: process.version,
  iptables: firstLine('iptables', ['--version']),
  nft: firstLine('nft', ['--version']),
  disk: diskKind(),
  load: loadavg()[0],
  versions: Object.fromEntries(Object.entries(bins).map(([name, folder]) => [name, versionOf(folder)])),
})

/** The same as lines of text. */
export const formatMachine = machine => [
  `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGB} GB, ${machine.arch}; ${machine.system}, kernel ${machine.kernel}`,
  `${machine.iptables}; ${machine.nft}; Node.js ${machine.node}; disk: ${machine.disk}`,
  ...Object.entries(machine.versions).map(([name, version]) => `${name}: ${version}`),
  `load of the machine when it began: ${machine.load.toFixed(2)}${machine.load > 0.5 ? ' (others were working: the times are too long, ratios less so)' : ''}`,
]
