/** `kubenet doctor`: silent on a healthy node, and a name and a remedy for each of many planted faults. */
import t from 'tap'
import { anyFlavour, flavours, type Json } from '../../fixtures/cni'
import {
  asNobody,
  capabilities,
  configureNetworks,
  connectHost,
  jsonOf,
  runKubenet,
} from '../../fixtures/command-line'
import { faults } from '../../fixtures/doctor-faults'
import { PrivateHost } from '../../fixtures/private-host'

type Line = {
  status: string
  code: string | null
  check: string
  says: string
  remedy: string
  fixable: boolean
}

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet doctor`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = (args: readonly string[], env: Record<string, string> = {}, as: readonly string[] = []) =>
      runKubenet(host, flavour, args, { env, as })
    const doctor = async (...args: string[]): Promise<{ code: number; lines: Line[]; answer: Json }> => {
      const output = await kubenet(['doctor', '--json', ...args])
      const answer = jsonOf(output)
      return { code: output.code, lines: answer.lines, answer }
    }
    const faulty = (lines: readonly Line[]): Line[] => lines.filter(({ status }) => status !== 'ok')
    await connectHost(host)
    await configureNetworks(host, flavour)
    await kubenet(['init'])
    const add = (network: string, name: string, port: number) =>
      kubenet(['add', network, `/run/netns/${name}`, '--container-id', name], capabilities(port))
    for (const name of ['blue', 'green', 'red', 'grey']) await host.netns(name)
    t.equal((await add('kubenet', 'blue', 8001)).code, 0)
    t.equal((await add('pods', 'green', 8002)).code, 0)
    // What is younger than two seconds may be in the middle of its ADD.
    await host.sh('sleep 2.1')

    await t.test('a healthy node with pods of kubenet and of the chain has no fault', async t => {
      const { code, lines } = await doctor()
      t.same(faulty(lines), [])
      t.equal(code, 0)
      t.same(
        ['kernel', 'br_netfilter', 'iptables', 'ranges', 'leases', 'host ports'].filter(
          name => !lines.some(({ check }) => check === name),
        ),
        [],
      )
      t.match((await kubenet(['doctor'])).stdout, /\nthe node is healthy\n$/)
      t.same(
        lines.filter(line => line.code !== null),
        [],
      )
    })

    const isFirst = anyFlavour.includes(flavour)
    let mendLast = ':'
    // The other flavour's code is the same here; one of each severity shows that it answers.
    for (const { name, plant, mend, expected } of isFirst ? faults : faults.slice(2, 4)) {
      await t.test(name, async t => {
        await host.sh(`${mendLast}\n${plant}`)
        mendLast = mend
        const { code: exitCode, lines } = await doctor()
        const named = lines.filter(({ code, says }) => code === expected.code && expected.says.test(says))
        t.equal(named.length > 0, true, `named: ${JSON.stringify(faulty(lines))}`)
        t.match(named[0]?.remedy ?? '', expected.remedy)
        t.equal(exitCode, lines.some(({ status }) => status === 'fail') ? 1 : 0)
      })
    }

    await t.test('after the repair the node is healthy again', async t => {
      await host.sh(mendLast)
      t.same(faulty((await doctor()).lines), [])
    })

    await t.test('--fix heals the living and removes what is proven to be gone, nothing else', async t => {
      const before = await host.snapshot()
      await add('kubenet', 'red', 8003)
      await add('pods', 'grey', 8004)
      await host.sh(`
        ip netns del red; ip netns del grey
        ${faults[1]?.plant}
        : > /var/lib/cni/networks/pods/10.66.0.99
        echo 0 > /proc/sys/net/ipv4/ip_forward
        # What was made before this boot is gone for sure.
        for f in $(grep -l -e '"red"' -e '"grey"' -r /var/lib/cni/networks/.kubenet); do sed -i 's/"bootID":"[^"]*"/"bootID":"before"/' $f; done`)
      const sick = await doctor()
      t.equal(sick.code, 1)
      const of = (word: RegExp) => faulty(sick.lines).some(({ says }) => word.test(says))
      for (const word of [
        /lease 10\.244\.1\.\d+ .*container red/,
        /host port 8003/,
        /ifb bwp.*container red/,
        /container grey/,
        /masquerade rules in chain CNI-.*container grey/,
      ])
        t.ok(of(word), String(word))
      const { code, lines, answer } = await doctor('--fix')
      t.same(faulty(lines), [])
      t.equal(code, 0)
      t.same(
        answer.fixed.filter(({ failed }: Json) => failed),
        [],
      )
      t.equal(await host.snapshot(), before)
      t.equal(
        (await kubenet(['check', 'kubenet', '/run/netns/blue', '--container-id', 'blue'], capabilities(8001)))
          .code,
        0,
      )
      t.equal(
        (await kubenet(['check', 'pods', '/run/netns/green', '--container-id', 'green'], capabilities(8002)))
          .code,
        0,
      )
    })

    if (!isFirst) return
    await t.test('without root, unreadable objects are named, and --fix is refused', async t => {
      const seen = await kubenet(['doctor', '--json'], {}, asNobody)
      t.equal(seen.code, 4)
      t.ok(jsonOf(seen).lines.some(({ status }: Line) => status === 'unknown'))
      const refused = await kubenet(['doctor', '--fix'], {}, asNobody)
      t.same([refused.code, refused.stdout], [4, ''])
      t.match(refused.stderr, /^kubenet: doctor: it takes root, [^\n]*\n$/)
    })
  })
}
