/**
 * One host port of two interfaces of a container: DEL of the one that has it, killed at any system call, leads it to the
 * other one all the same, by the next DEL or by GC.
 */
import t from 'tap'
import type { Json } from '../../fixtures/cni'
import { isSoak, isTimeUp, isWanted, tellSoak } from '../../fixtures/extent'
import { distinctOf, type Scenario, Trials } from '../../fixtures/faults'

const title = 'kubenet, a host port of two interfaces'

const conf = (containerID: 'c1' | 'c2'): Json => ({
  cniVersion: '1.1.0',
  name: 'net',
  type: 'kubenet',
  backend: 'nftables',
  podCIDRs: ['10.1.2.0/24', 'fd00:2::/64'],
  runtimeConfig: {
    portMappings: [{ hostPort: containerID === 'c1' ? 8001 : 8002, containerPort: 80, protocol: 'tcp' }],
  },
})

/** What GC is called with once eth0 has gone. */
const rest = {
  ...conf('c1'),
  'cni.dev/valid-attachments': [
    { containerID: 'c1', ifname: 'eth1' },
    { containerID: 'c2', ifname: 'eth0' },
  ],
}

const scenario: Scenario = {
  title,
  plugin: 'kubenet',
  conf,
  setup: `echo '${JSON.stringify(rest)}' > rest.json`,
}

/** Of this many kills scripts/test tries one. */
const slice = 5

const before = 'verb ADD; CNI_IFNAME=eth1 verb ADD'
const after = 'CNI_IFNAME=eth1 verb DEL'

/** To whom the maps lead the port, as nft shows their elements. */
const holders = `
  for map in hostports4 hostports6; do nft list map inet kubenet $map; done > out 2> err
  say maps $?
`

const leads = (listing: string): string[] => listing.match(/tcp \. 8001 comment "[^"]*"/g) ?? []

const toEth1 = Array.from({ length: 2 }, () => 'tcp . 8001 comment "net c1 eth1"')

t.test(title, async t => {
  if (!isWanted(title)) return
  const trials = await Trials.create(t, scenario, 'standalone')
  const points = distinctOf(await trials.points('DEL', { before, after }))
  t.ok(points.length > 10, `DEL has ${points.length} points`)
  let tried = 0
  for (const [index, { syscall, nth, line }] of points.entries()) {
    for (const [turn, cleanUp] of ['verb DEL', 'verb GC rest.json'].entries()) {
      if (isTimeUp() || (!isSoak && (index + turn * 2) % slice !== 0)) continue
      tried++
      const steps = await trials.run(
        `${before}; injected DEL ${syscall} signal=KILL:when=${nth}; ${cleanUp}; ${holders} ${after}; verb DEL; compare host`,
      )
      const what = `killed before ${line.slice(0, 120)}, then ${cleanUp}`
      const maps = steps.find(({ name }) => name === 'maps')
      t.same(leads(maps?.stdout ?? ''), toEth1, what)
      const failed = steps.filter(({ code }) => code !== 0 && code !== 137)
      t.same(failed, [], what)
    }
  }
  tellSoak(`${title}: ${tried} trials`)
})
