/**
 * What an earlier release left on a node is taken over: CHECK finds nothing amiss, nothing of it is given to another, GC
 * and DEL remove it. The recorded state is planted by `ip`, `nft` and the like, without any program of ours; with
 * KUBENET_BEFORE=FOLDER the programs in that folder make it once more.
 */
import t, { type Test } from 'tap'
import { anyFlavour, binDir, type Json } from '../../fixtures/cni'
import { jsonOf, runKubenet } from '../../fixtures/command-line'
import { portsOf } from '../../fixtures/ownership'
import type { PrivateHost } from '../../fixtures/private-host'
import { type Case, cases, Runtime, takeoverHost } from '../../fixtures/takeover/cases'
import { readGolden } from '../../fixtures/takeover/golden'
import { readNode, stateOf } from '../../fixtures/takeover/node-state'
import { plant } from '../../fixtures/takeover/plant'

/** Makes the two attachments on a fresh host, and answers the results of their ADDs. */
type Make = (host: PrivateHost, of: Case) => Promise<readonly Json[]>

const makers: { by: string; make: Make }[] = [
  {
    by: 'planted',
    make: async (host, of) => {
      const { both, results } = readGolden(of.name)
      await plant(host, both)
      return results
    },
  },
]

const before = process.env.KUBENET_BEFORE
if (before) {
  makers.push({
    by: `by ${before}`,
    make: async (host, of) => {
      const runtime = new Runtime(host, of, before)
      return [await runtime.add(0), await runtime.add(1)]
    },
  })
}

/** Without the addresses that were given out last: an ADD that failed has had its turn. */
const withoutTurn = (state: string): string => state.replaceAll(/^> \S+\/last_reserved_ip\S+ \d+\n.*\n/gm, '')

const nodeMadeBy = async (t: Test, make: Make, of: Case) => {
  const host = await takeoverHost(t, of)
  const fresh = await readNode(host)
  const results = await make(host, of)
  return { host, results, state: async () => stateOf(await readNode(host), fresh) }
}

for (const flavour of anyFlavour) {
  for (const { by, make } of makers) {
    for (const of of cases) {
      const golden = readGolden(of.name)

      t.test(`[${flavour}] ${of.name}, ${by}: CHECK, more ADDs and GC`, async t => {
        const { host, results, state } = await nodeMadeBy(t, make, of)
        const runtime = new Runtime(host, of, binDir(flavour))
        t.equal(await state(), golden.both, 'as it was recorded')
        await runtime.check(0, results[0])
        await runtime.check(1, results[1])
        await t.rejects(runtime.add(0), 'ADD again for the same attachment')
        await host.netns('c3')
        const { ips } = results[0]
        const [address] = ips[0].address.split('/')
        t.match(await runtime.addThird({ ips: [address] }), address, 'its address is not given to another')
        t.match(await runtime.addThird(portsOf([8080])), /8080/, 'nor is its port')
        await runtime.gc([0, 1])
        t.equal(withoutTurn(await state()), withoutTurn(golden.both), 'nothing has changed')
        await runtime.gc([0])
        t.equal(withoutTurn(await state()), withoutTurn(golden.one), 'GC of the second')
        await runtime.check(0, results[0])
        await runtime.del(0, undefined)
        t.equal(withoutTurn(await state()), withoutTurn(golden.none), 'DEL of the first, without its result')
      })

      t.test(`[${flavour}] ${of.name}, ${by}: what is seen of it, and DEL`, async t => {
        const { host, results, state } = await nodeMadeBy(t, make, of)
        const runtime = new Runtime(host, of, binDir(flavour))
        const seen = jsonOf(await runKubenet(host, flavour, ['inspect', '--json']))
        t.same(
          seen.containers.map(({ containerID, state }: Json) => [containerID, state]).sort(),
          of.containerIDs.map(containerID => [containerID, 'running']),
        )
        await runtime.del(1, results[1])
        t.equal(await state(), golden.one, 'DEL of the second')
        await runtime.del(0, results[0])
        t.equal(await state(), golden.none, 'DEL of the first')
      })
    }
  }
}
