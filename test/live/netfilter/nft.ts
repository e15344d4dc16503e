/**
 * What the nft program makes of our messages: the same rules go into one private namespace over netlink and into
 * another as text, and both must list alike. Then what we make of what the kernel lists.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import * as read from '../../../src/netfilter/nft/read'
import { rule } from '../../../src/netfilter/nft/rule'
import { formatElement, type NftElement } from '../../../src/netfilter/nft/set'
import { accept } from '../../../src/netfilter/nft/statement'
import { NftTransaction } from '../../../src/netfilter/nft/transaction'
import type { NftFamily } from '../../../src/netfilter/nft/wire/message'
import { addr, exempt4, formsByFamily, macs, pods4 } from '../../fixtures/golden/nft/forms'
import { setForms } from '../../fixtures/golden/nft/sets'
import { tables } from '../../fixtures/golden/nft/tables'
import { type NetfilterHost, netfilterHost, skip } from '../../fixtures/netfilter-host'

const goldenDir = join(__dirname, '../../fixtures/golden/nft')

const table = { family: 'inet', name: 't' } as const

const withoutHandles = (json: string): unknown =>
  JSON.parse(json, (key, value) => (key === 'handle' || key === 'metainfo' ? undefined : value))

/** Makes the same on two hosts, here by netlink and there by nft, and compares. */
const listsAlike = async (t: Test, change: (tx: NftTransaction) => void, text: string) => {
  const [ours, theirs] = await Promise.all([netfilterHost(t), netfilterHost(t)])
  const tx = new NftTransaction()
  change(tx)
  tx.commit(ours.nl)
  const { code, stderr } = await theirs.host.exec(['nft', '-f', '-'], { stdin: text })
  t.equal(code, 0, stderr)
  t.equal(await ours.list(), await theirs.list())
  const json = ({ host }: NetfilterHost) => host.run('nft', '-j', 'list', 'ruleset')
  t.same(withoutHandles(await json(ours)), withoutHandles(await json(theirs)))
  return ours
}

for (const [family, forms] of Object.entries(formsByFamily) as [NftFamily, typeof formsByFamily.ip][]) {
  t.test(`[${family}] every form of a rule lists like nft's own`, { skip }, async t => {
    const table = { family, name: 'forms' }
    const change = (tx: NftTransaction) => {
      tx.addTable(table).addSet(table, pods4).addSet(table, exempt4).addSet(table, macs)
      tx.addChain(table, { name: 'other' }).addChain(table, { name: 'c' })
      for (const [i, [, statements]] of forms.entries()) {
        tx.addRule(table, 'c', rule(statements, { comment: `form ${i}` }))
      }
    }
    const text = `table ${family} forms {
      set pods4 { type ipv4_addr; }
      set exempt4 { type ipv4_addr; flags interval; }
      set macs { type ifname . ether_addr; }
      chain other { }
      chain c {
        ${forms.map(([text], i) => `${text} comment "form ${i}"`).join('\n')}
      }
    }`
    await listsAlike(t, change, text)
  })
}

for (const name of ['masquerade', 'spoofcheck', 'hostport', 'kubenet'] as const) {
  t.test(`${name}.nft lists alike, and nft loads it again from its own list`, { skip }, async t => {
    const text = readFileSync(join(goldenDir, `${name}.nft`), 'utf8')
    const { host, list } = await listsAlike(t, tables[name], text)
    const before = await list()
    await host.sh('nft -s list ruleset > /run/saved; nft flush ruleset; nft -f /run/saved')
    t.equal(await list(), before)
  })
}

t.test('sets and maps of every type list like those of nft', { skip }, async t => {
  const change = (tx: NftTransaction) => {
    tx.addTable(table)
    for (const [, set, elements] of setForms) {
      tx.addSet(table, set)
      for (const element of elements) tx.addElement(table, set, element)
    }
  }
  const text = setForms.map(([text]) => text).join('\n')
  const { nl } = await listsAlike(t, change, `table inet t {\n${text}\n}`)

  const shapes = read.setList(nl, table)
  const lines = (elements: readonly NftElement[]) =>
    elements.map(element => `${formatElement(element)} ${element.comment ?? '-'}`).sort()
  for (const [text, set, elements] of setForms) {
    const shape = shapes.find(({ name }) => name === set.name)
    t.match(shape, set, text)
    t.same(lines(read.elementList(nl, table, shape ?? set)), lines(elements), text)
  }
})

t.test('rules of nft are read back', { skip }, async t => {
  const { host, nl } = await netfilterHost(t)
  await host.exec(['nft', '-f', '-'], { stdin: readFileSync(join(goldenDir, 'kubenet.nft'), 'utf8') })
  const kubenet = { family: 'inet', name: 'kubenet' } as const
  t.same(
    read.tableList(nl).map(({ family, name }) => `${family} ${name}`),
    ['inet kubenet', 'bridge kubenet'],
  )
  t.same(read.tableList(nl, 'bridge'), [{ family: 'bridge', name: 'kubenet', comment: '' }])
  t.match(read.chainGet(nl, kubenet, 'mangle'), {
    type: 'route',
    hook: 'output',
    priority: -150,
    policy: 'drop',
  })
  t.match(read.chainGet(nl, kubenet, 'hostports'), { type: undefined, hook: undefined, policy: undefined })
  t.equal(read.chainList(nl, kubenet).length, 6)
  const rules = read.ruleList(nl, kubenet, 'prerouting')
  t.same(
    rules[0]?.expressions.map(({ name }) => name),
    ['fib', 'cmp', 'immediate'],
  )
  t.ok(read.ruleList(nl, kubenet).length > rules.length)
  const sets = read.setList(nl, kubenet)
  const elements = (name: string) => {
    const set = sets.find(set => set.name === name)
    return set ? read.elementList(nl, kubenet, set).map(formatElement) : []
  }
  t.same(elements('exempt4'), ['10.0.0.0/8', '192.168.0.0/16', '224.0.0.0/3'])
  t.same(elements('addressports6'), ['2001:db8::1 . tcp . 8081 : fd00::2 . 80'])
  const ports4 = sets.find(({ name }) => name === 'ports4')
  if (!ports4) throw new Error('no map ports4')
  const element = read.elementGet(nl, kubenet, { ...ports4, interval: false }, ['tcp', 8080])
  t.same(element, { key: ['tcp', 8080], data: [addr('10.244.0.2'), 80], comment: 'c0ffee-eth0' })
  t.equal(read.elementGet(nl, kubenet, { ...ports4, interval: false }, ['tcp', 8081]), undefined)
})

t.test('missing objects are empty or undefined', { skip }, async t => {
  const { nl } = await netfilterHost(t)
  const absent = () => {
    t.equal(read.chainGet(nl, table, 'c'), undefined)
    t.same(read.chainList(nl, table), [])
    t.same(read.ruleList(nl, table), [])
    t.same(read.ruleList(nl, table, 'c'), [])
    t.same(read.setList(nl, table), [])
    t.same(read.elementList(nl, table, pods4), [])
    t.equal(read.elementGet(nl, table, { ...pods4, interval: false }, [addr('10.0.0.2')]), undefined)
  }
  absent()
  t.same(read.tableList(nl), [])
  new NftTransaction().addTable(table, { comment: 'there' }).commit(nl)
  absent()
  t.same(read.tableList(nl), [{ ...table, comment: 'there' }])
})

t.test('comments may be 128 bytes of any text', { skip }, async t => {
  const { host, nl } = await netfilterHost(t)
  const comment = `${'ä'.repeat(61)} 名 x`
  t.equal(Buffer.byteLength(comment), 128)
  new NftTransaction()
    .addTable(table, { comment })
    .addChain(table, { name: 'c', comment })
    .addSet(table, { ...pods4, comment })
    .addElement(table, pods4, { key: [addr('10.0.0.2')], comment })
    .addRule(table, 'c', rule([accept()], { comment }))
    .commit(nl)
  const listed = (await host.run('nft', 'list', 'ruleset')).split(`comment "${comment}"`)
  t.equal(listed.length, 6, 'five comments')
  t.equal(read.tableList(nl)[0]?.comment, comment)
  t.equal(read.chainGet(nl, table, 'c')?.comment, comment)
  t.equal(read.ruleList(nl, table)[0]?.comment, comment)
  t.equal(read.setList(nl, table)[0]?.comment, comment)
  t.equal(read.elementList(nl, table, pods4)[0]?.comment, comment)
})
