/** `kubenet doctor`: silent on a healthy node, and a name and a remedy for each of many planted faults. */
import t from 'tap'
import { anyFlavour, binDir, flavours, type Json } from '../../fixtures/cni'
import {
  asNobody,
  capabilities,
  confDir,
  configureNetworks,
  connectHost,
  jsonOf,
  runKubenet,
} from '../../fixtures/command-line'
import { type Fault, faults } from '../../fixtures/doctor-faults'
import { hostFaults } from '../../fixtures/doctor-host-faults'
import { PrivateHost } from '../../fixtures/private-host'

type Line = {
  status: string
  code: string | null
  check: string
  says: string
  remedy: string
  fixable: boolean
}

const isOfFolder = ({ expected }: Fault): boolean => ['KN0068', 'KN0070'].includes(expected.code)

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

    await t.test('many faults at once, each with its own line', async t => {
      // Files are made before their folder is read-only, and before its disk is full.
      const planted = isFirst
        ? hostFaults.toSorted((a, b) => Number(isOfFolder(a)) - Number(isOfFolder(b)))
        : []
      await host.sh([mendLast, ...planted.map(({ plant }) => plant)].join('\n'))
      const { lines } = await doctor()
      const whyBlue = isFirst ? await kubenet(['why', 'blue']) : undefined
      // Before CNI 1.1 no plugin can be asked.
      await host.sh(
        `mkdir /run/old.d; for f in ${confDir}/*.conflist; do sed 's/"1\\.1\\.0"/"1.0.0"/' $f > /run/old.d/$(basename $f); done`,
      )
      const status = await kubenet(['status'], { NETCONFPATH: '/run/old.d' })
      mendLast = planted
        .map(({ mend }) => mend)
        .toReversed()
        .join('\n')
      for (const { name, expected } of planted) {
        const named = lines.filter(({ code, says }) => code === expected.code && expected.says.test(says))
        t.ok(
          named.length > 0,
          `${name}: ${JSON.stringify(lines.filter(({ code }) => code === expected.code))}`,
        )
        t.match(named[0]?.remedy ?? '', expected.remedy, name)
      }
      if (!whyBlue) return
      t.match(whyBlue.stdout, /wrong +KN0033 bridge cbr0: .*10\.244\.1\.1/)
      t.match(status.stdout, /kubenet +1\.0\.0 +yes.*KN0033 bridge cbr0: [^\n]*kubenet sync/)
      t.match(status.stdout, /pods +1\.0\.0 +yes.*KN0032 bridge cni0: it is down; ip link set cni0 up/)
      t.equal(status.code, 1)
    })

    await t.test('after the repair the node is healthy again', async t => {
      await host.sh(mendLast)
      const synced = await kubenet(['sync'])
      t.equal(synced.code, 0, synced.stderr)
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
    await t.test('a broken file is a failure where no other network is left', async t => {
      await host.sh('mkdir /run/torn.d; echo "{" > /run/torn.d/10-torn.conflist')
      const torn = await kubenet(['doctor', '--json'], { NETCONFPATH: '/run/torn.d' })
      const [named] = jsonOf(torn).lines.filter(({ code }: Line) => code === 'KN0016')
      t.match(named, { status: 'fail', says: /10-torn\.conflist:\d/, remedy: /mv \/run\/torn\.d\/10-torn/ })
      t.equal(torn.code, 1)
    })

    await t.test('a missing plugin loopback is named, which runtimes call and no list names', async t => {
      const folder = binDir(flavour)
      await host.sh(
        `mkdir /run/few; for f in ${folder}/*; do [ $(basename $f) = loopback ] || ln -s $f /run/few/$(basename $f); done`,
      )
      const { lines } = jsonOf(await kubenet(['doctor', '--json'], { CNI_PATH: '/run/few' }))
      const [named] = lines.filter(({ code }: Line) => code === 'KN0071')
      t.match(named, { says: /"loopback" is not in \/run\/few/, remedy: /kubenet install/ })
    })

    await t.test('--probe sends packets, and names those that do not arrive', async t => {
      await host.sh(`mkdir /run/one.d; cp ${confDir}/20-pods.conflist /run/one.d; iptables -P FORWARD DROP`)
      const before = await host.snapshot()
      const probed = await kubenet(['doctor', '--probe', '--json'], { NETCONFPATH: '/run/one.d' })
      await host.sh('iptables -P FORWARD ACCEPT')
      const lines = jsonOf(probed).lines.filter(({ check }: Line) => check === 'probe')
      t.same([...new Set(lines.map(({ code }: Line) => code))], ['KN0073'])
      t.ok(
        lines.some(({ says }: Line) => /network "pods", pod to the outside, IPv4/.test(says)),
        JSON.stringify(lines),
      )
      t.equal(probed.code, 1)
      await host.sh('iptables -P FORWARD DROP')
      t.equal(await host.snapshot(), before)
      await host.sh('iptables -P FORWARD ACCEPT')
    })

    await t.test('without root, unreadable objects are named, and --fix is refused', async t => {
      const seen = await kubenet(['doctor', '--json'], {}, asNobody)
      t.equal(seen.code, 4)
      const blind = [
        'survey',
        'forward filter',
        'leases',
        'interfaces',
        'routes',
        'rules',
        'host ports',
        'rates',
      ]
      for (const name of blind) {
        const of = jsonOf(seen).lines.filter(({ check }: Line) => check === name)
        t.ok(
          of.some(({ status }: Line) => status === 'unknown'),
          `${name}: ${JSON.stringify(of)}`,
        )
      }
      const refused = await kubenet(['doctor', '--fix'], {}, asNobody)
      t.same([refused.code, refused.stdout], [4, ''])
      t.match(refused.stderr, /^kubenet: doctor: changing networks needs root, [^\n]*\n$/)
    })
  })
}
