/** What ours are compared with: the Go plugins of Debian stable and of sid, and netavark, which does a pod in one call. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Where test/fixtures/debian/peers.ts unpacks what is not installed. */
const fetched = join(import.meta.dirname, '../dist-tools/peers')

/** Go plugins by their names in the reports: folders. With `--peer` that folder alone. */
export const goPeers = ({ peer }) =>
  peer === undefined
    ? { 'Go stable': '/usr/lib/cni', 'Go sid': join(fetched, 'sid/usr/lib/cni') }
    : { Go: resolve(peer) }

/** Sid's netavark needs a newer C library than the machine has: it is started by that library's own loader. */
const loaderOf = root => {
  const libraries = join(root, 'usr/lib')
  const triplet = existsSync(libraries) && readdirSync(libraries).find(name => name.endsWith('-linux-gnu'))
  if (!triplet) return []
  const folder = join(libraries, triplet)
  const loader = readdirSync(folder).find(name => name.startsWith('ld-linux'))
  return loader === undefined ? [] : [join(folder, loader), '--library-path', folder]
}

/** netavark of both suites: { name, bins, prefix }, the last being what starts it. */
export const netavarks = () =>
  ['stable', 'sid'].map(suite => ({
    name: `netavark ${suite}`,
    bins: join(fetched, suite, 'usr/lib/podman'),
    prefix: loaderOf(join(fetched, suite)),
  }))

/** The version of a package of which a program was unpacked; undefined of what was not. */
export const fetchedVersion = bins => {
  const root = [join(fetched, 'stable'), join(fetched, 'sid')].find(folder => bins.startsWith(`${folder}/`))
  const file = root && join(root, 'versions.json')
  if (!file || !existsSync(file)) return undefined
  const name = bins.endsWith('/podman') ? 'netavark' : 'containernetworking-plugins'
  return `${name} ${JSON.parse(readFileSync(file, 'utf8'))[name]} (Debian)`
}

const isKind = (name, kind) => name === kind || name.startsWith(`${kind} `)

/** Is a side one of what ours are compared with? */
export const isPeer = name => isKind(name, 'Go') || isKind(name, 'netavark')

/** The sides that `base` names: itself, or all versions of one kind of peer. */
export const sidesOf = (names, base) => names.filter(name => isKind(name, base))
