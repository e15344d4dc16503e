/** What does not depend on the machine's load: system calls, programs started, files opened, netlink messages. */
import { existsSync } from 'node:fs'
import { supported } from '../measure.mjs'
import { isPeer } from '../peers.mjs'
import { countSyscalls } from '../report/strace.mjs'

const strace = '/usr/bin/strace'
const log = '/run/strace.log'
const pod = 0

/** Every setup that is counted; the Go plugins have no kubenet. */
const counted = ['bridge', 'masquerade', 'chain', 'chain-nftables', 'pod', 'kubenet', 'host-local']

/** One after the other in one log: strace appends what it traces of the next call. */
const prefix = [strace, '-f', '-qq', '-A', '-o', log]

/** Counts of all calls of one ADD or DEL. */
const countCommand = async ({ host, setup, bins }, command) => {
  await host.sh(`rm -f ${log}`)
  await host.request('attach', { setup, bins, command, pod, prefix })
  const { text } = await host.request('read', { path: log })
  return countSyscalls(text)
}

/** The counts of a setup's ADD and DEL on one side: the second pair, when everything shared is there. */
export const countSetup = async side => {
  const add = await countCommand(side, 'ADD')
  const del = await countCommand(side, 'DEL')
  return { add, del }
}

const sidesOf = (bench, setup, host) => {
  const names = Object.keys(bench.bins).filter(name => setup !== 'kubenet' || !isPeer(name))
  return names.flatMap(name => bench.side(name, { host, setup }))
}

export const counts = {
  name: 'counts',
  ticks: () => counted.length,
  async run(bench) {
    if (!existsSync(strace)) {
      bench.skip('counts', `${strace} is not installed`)
      return
    }
    for (const setup of bench.options.setups ?? counted) {
      bench.progress.label(`counts: ${setup}`)
      for (const name of Object.keys(bench.bins)) {
        const host = await bench.host('tmpfs')
        await host.addPods(pod, pod + 1)
        const sides = sidesOf(bench, setup, host).filter(side => side.name === name)
        for (const side of await supported(bench, sides)) {
          bench.counts.push({ setup, side: name, ...(await countSetup(side)) })
        }
        await bench.end(host)
      }
      bench.progress.tick()
    }
  },
}
