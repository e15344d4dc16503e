/** `kubenet doctor` on hosts whose packet filters keep containers' packets, and on hosts whose filters do not. */
import t from 'tap'
import { anyFlavour } from '../../fixtures/cni'
import { configureNetworks, connectHost, jsonOf, runKubenet } from '../../fixtures/command-line'
import { harmlessFilters, mendHarmless, packetFaults } from '../../fixtures/doctor-packet-faults'
import { PrivateHost } from '../../fixtures/private-host'

type Line = { status: string; code: string | null; check: string; says: string; remedy: string }

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] kubenet doctor and packet filters`, async t => {
    const host = await PrivateHost.create(t)
    await connectHost(host)
    await configureNetworks(host, flavour)
    for (const [network, name] of [
      ['kubenet', 'blue'],
      ['kubenet', 'green'],
      ['pods', 'red'],
    ] as const) {
      const path = await host.netns(name)
      const added = await runKubenet(host, flavour, ['add', network, path, '--container-id', name])
      t.equal(added.code, 0, added.stderr)
    }
    const doctor = async (): Promise<Line[]> =>
      jsonOf(await runKubenet(host, flavour, ['doctor', '--json'])).lines
    const filterLines = (lines: readonly Line[]) => lines.filter(({ check }) => check === 'forward filter')

    await t.test('filters that let the packets of containers pass are no fault', async t => {
      await host.sh(harmlessFilters.join('\n'))
      t.same(
        filterLines(await doctor()).map(({ status, says }) => [status, says]),
        [['ok', 'packets from containers and their replies may pass']],
      )
    })

    let mendLast = mendHarmless
    for (const { name, plant, mend, expected } of packetFaults) {
      await t.test(name, async t => {
        await host.sh(`${mendLast}\n${plant}`)
        mendLast = mend
        const lines = filterLines(await doctor())
        const named = lines.find(({ code, says }) => code === expected.code && expected.says.test(says))
        t.ok(named, `named: ${JSON.stringify(lines)}`)
        t.match(named?.remedy, expected.remedy)
      })
    }

    await t.test('nft takes the command that it names, which lets the packets pass', async t => {
      await host.sh(`${mendLast}\n${packetFaults[1]?.plant}`)
      const [named] = filterLines(await doctor())
      await host.sh(named?.remedy.split(', and ')[0] ?? '')
      t.same(
        filterLines(await doctor()).map(({ status }) => status),
        ['ok'],
      )
    })
  })
}
