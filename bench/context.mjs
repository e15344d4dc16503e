/** What the cases of one run share: the programs to measure, private hosts, results, and what was skipped. */
import { existsSync } from 'node:fs'
import { Host } from './host/host.mjs'
import { programsOf } from './host/setups.mjs'
import { addMeasuredPods } from './measure.mjs'
import { goPeers, isPeer, sidesOf } from './peers.mjs'
import { summarisePhases } from './report/phases.mjs'
import { Progress } from './report/progress.mjs'
import { overlap, summarise, summariseTimes } from './report/stats.mjs'

export class Bench {
  options
  /** Folders of programs by side: the Go plugins, standalone and node. */
  bins
  progress = new Progress()
  rows = []
  curves = []
  phases = []
  counts = []
  skipped = []
  #hosts = new Set()

  constructor(options, bins) {
    this.options = options
    this.bins = bins
  }

  /** A private host with pods to measure on. `store` says where its leases are: "disk" or "tmpfs". */
  async host(store = this.options.store) {
    const host = new Host(store)
    this.#hosts.add(host)
    await addMeasuredPods(host)
    return host
  }

  /** Ends hosts that a case needs no more; all of them without an argument. */
  async end(...hosts) {
    for (const host of hosts.length > 0 ? hosts : this.#hosts) {
      this.#hosts.delete(host)
      await host.end()
    }
  }

  kill() {
    for (const host of this.#hosts) host.kill()
  }

  /** Notes what was not measured, and why. */
  skip(what, reason) {
    if (!this.skipped.some(entry => entry.what === what && entry.reason === reason)) {
      this.skipped.push({ what, reason })
    }
  }

  /** Is everything there that a side needs? What is not is noted as skipped. */
  has({ name, setup, bins }) {
    const missing = programsOf(setup).filter(program => !existsSync(`${bins}/${program}`))
    if (missing.length > 0) this.skip(`${name}, ${setup}`, `${bins} has no ${missing.join(', ')}`)
    return missing.length === 0
  }

  /** A side of a comparison, if all its programs are there. */
  side(name, { host, setup, bins = this.bins[name] }) {
    const side = { name, host, setup, bins }
    return this.has(side) ? [side] : []
  }

  /** The Go plugins that are there as sides of a comparison, each on a host of its own. */
  async goSides(setup, store) {
    const sides = []
    for (const name of Object.keys(goPeers(this.options))) {
      if (!this.has({ name, setup, bins: this.bins[name] })) continue
      sides.push({ name, setup, bins: this.bins[name], host: await this.host(store) })
    }
    return sides
  }

  /**
   * Notes one row of the table: `entries` are [side, times or, in other units, numbers], `targets` side → { ratio }
   * to the base, or { value }. The base is a side, or all versions of a peer: then the fastest counts.
   */
  row({ id, title, unit = 'ms', base = 'Go', entries, targets = {} }) {
    const summaries = new Map(
      entries.map(([name, samples]) => [name, unit === 'ms' ? summariseTimes(samples) : summarise(samples)]),
    )
    const names = [...summaries.keys()]
    const bases = sidesOf(names, base)
    const [fastest] = bases.sort((a, b) => summaries.get(a).median - summaries.get(b).median)
    const peers = names.filter(name => isPeer(name))
    const sides = [...summaries].map(([name, stats]) => {
      const compared = fastest !== undefined && !bases.includes(name) && !isPeer(name)
      const by = peer => stats.median / summaries.get(peer).median
      return {
        name,
        ...stats,
        ...(compared && { ratio: by(fastest) }),
        ...(compared && overlap(stats, summaries.get(fastest)) && { overlaps: true }),
        ...(!isPeer(name) &&
          peers.length > 0 && { ratios: Object.fromEntries(peers.map(peer => [peer, by(peer)])) }),
        ...(targets[name] && { target: targets[name] }),
      }
    })
    this.rows.push({ id, title, unit, base, sides })
  }

  /** Notes the lines for ADD, DEL and both together, those of `kinds`, from what `alternate` measured. */
  pairRows({ id, title, samples, kinds, targets = {} }) {
    const titles = { add: 'ADD', del: 'DEL', both: 'ADD + DEL' }
    for (const kind of kinds) {
      const entries = [...samples].map(([name, times]) => [name, times[kind]])
      this.row({ id: `${id}-${kind}`, title: `${title}: ${titles[kind]}`, entries, targets: targets[kind] })
    }
    for (const [name, { phases }] of samples) {
      for (const [command, runs] of Object.entries(phases)) {
        if (runs.length > 0) this.phases.push({ id, side: name, command, steps: summarisePhases(runs) })
      }
    }
  }

  /** Notes how far ours are from the floor. */
  floorRow({ id, title, samples }) {
    const entries = ['floor', 'standalone', 'node'].flatMap(name =>
      samples.has(name) ? [[name, samples.get(name).both]] : [],
    )
    this.row({ id, title, base: 'floor', entries, targets: { standalone: { ratio: 2 } } })
  }
}
