/** kubenet's nftables state as nft shows it: the same rules at any number of pods, and an element for each of theirs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'

const golden = readFileSync(join(__dirname, '../../fixtures/golden/nft/kubenet-pods.nft'), 'utf8')

const mappings: Json[] = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '192.0.2.1' },
  { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '2001:db8::1' },
]

/** The table without its elements. */
const frame = (table: string): string => table.replaceAll(/^\t\telements = \{[^}]*\}\n/gm, '')

const rulesIn = async ({ host }: Node): Promise<number> =>
  Number(await host.sh(`nft -j list ruleset | jq '[.nftables[] | select(.rule)] | length'`))

for (const flavour of flavours) {
  t.test(`[${flavour}] the ruleset of kubenet`, async t => {
    const node = await Node.create(t, flavour)
    const web = kubenetConf({ runtimeConfig: { portMappings: mappings } })
    const result = await node.add('web', web)
    const rules = await rulesIn(node)

    await t.test('of one pod with host ports is this', async t => {
      t.equal(await node.table(), golden)
    })

    await t.test('has as many rules with five pods, and no other frame', async t => {
      for (const i of [1, 2, 3, 4]) {
        const portMappings = [{ hostPort: 9000 + i, containerPort: 80, protocol: 'tcp' }]
        await node.add(`pod${i}`, kubenetConf({ runtimeConfig: { portMappings } }))
      }
      const table = await node.table()
      t.equal(await rulesIn(node), rules)
      t.equal(frame(table), frame(golden))
      for (const i of [1, 2, 3, 4]) {
        t.match(table, `10.244.1.${i + 2} comment "pods pod${i} eth0"`)
        t.match(table, `tcp . 900${i} comment "pods pod${i} eth0" : 10.244.1.${i + 2} . 80`)
        t.match(table, `tcp . 900${i} comment "pods pod${i} eth0" : fd00:244:1::${i + 2} . 80`)
      }
    })

    await t.test('is that of one pod again when the others are gone', async t => {
      for (const i of [1, 2, 3, 4]) await node.del(`pod${i}`, kubenetConf())
      t.equal(await node.table(), golden)
    })

    await t.test('has three rules more for another network', async t => {
      const other = kubenetConf({
        name: 'other',
        bridge: 'cbr1',
        podCIDRs: ['10.245.0.0/24'],
        hairpinMode: 'none',
      })
      const added = await node.add('apart', other)
      t.equal(await rulesIn(node), rules + 3)
      await node.del('apart', { ...other, prevResult: added })
      t.match(await node.call('CHECK', 'web', { ...web, prevResult: result }), { code: 0, stdout: '' })
    })

    await t.test('is empty except for its frame after the last DEL', async t => {
      await node.del('web', { ...web, prevResult: result })
      t.notMatch(await node.table(), /comment "pods web/)
    })
  })
}
