/** What the kernel makes of whole batches: all or nothing, by generation, and what is deleted again. */
import t from 'tap'
import { nftDeleteRules } from '../../../src/netfilter/nft/delete-rules'
import * as read from '../../../src/netfilter/nft/read'
import { rule } from '../../../src/netfilter/nft/rule'
import * as m from '../../../src/netfilter/nft/statement'
import { NftTransaction, nftUpdate } from '../../../src/netfilter/nft/transaction'
import { addr, cidr, exempt4, pods4 } from '../../fixtures/golden/nft/forms'
import { netfilterHost, netfilterSocket, skip } from '../../fixtures/netfilter-host'

const table = { family: 'inet', name: 't' } as const

t.test('one bad change leaves nothing of its batch, and the error names it', { skip }, async t => {
  const { nl, list } = await netfilterHost(t)
  const good = () => new NftTransaction().addTable(table).addChain(table, { name: 'c' })
  const jump = rule([m.jump('nowhere')])
  const cases: [refusal: string, tx: NftTransaction][] = [
    [
      'add rule to chain "c" of table "inet t": ENOENT',
      good().addRule(table, 'c', jump).flushChain(table, 'x'),
    ],
    ['flush chain "x" of table "inet t": ENOENT', good().flushChain(table, 'x')],
    [
      'delete rule 99 of chain "c" of table "inet t": ENOENT',
      good().deleteRule(table, { chain: 'c', handle: 99n }),
    ],
    ['delete set "pods4" of table "inet t": ENOENT', good().deleteSet(table, pods4)],
    [
      'add 10.0.0.2 to set "pods4" of table "inet t": ENOENT',
      good()
        .addElement(table, pods4, { key: [addr('10.0.0.2')] })
        .addChain(table, { name: 'd' }),
    ],
    [
      'delete table "ip t": ENOENT',
      good().deleteTable({ family: 'ip', name: 't' }).addChain(table, { name: 'd' }),
    ],
    [
      'add chain "d" to table "inet t": EOPNOTSUPP', // a nat chain has no business at forward
      good().addChain(table, { name: 'd', type: 'nat', hook: 'forward', priority: 0 }),
    ],
  ]
  for (const [message, tx] of cases) {
    t.throws(() => tx.commit(nl), { message }, message)
    t.equal(await list(), '')
  }
  good().commit(nl)
  t.match(await list(), /chain c/, 'the socket is good for the next batch')
})

t.test(
  'elements: add accepts what is there, create and another destination are refused',
  { skip },
  async t => {
    const { nl } = await netfilterHost(t)
    const map = { name: 'm', key: ['inet_service'], data: ['inet_service'] } as const
    new NftTransaction()
      .addTable(table)
      .addSet(table, map)
      .addElement(table, map, { key: [80], data: [8080] })
      .commit(nl)
    const again = { key: [80], data: [8080], comment: 'other' }
    new NftTransaction().addTable(table).addSet(table, map).addElement(table, map, again).commit(nl)
    t.same(read.elementList(nl, table, map), [{ key: [80], data: [8080], comment: undefined }])
    t.throws(() => new NftTransaction().createElement(table, map, again).commit(nl), { code: 'EEXIST' })
    t.throws(() => new NftTransaction().addElement(table, map, { key: [80], data: [1] }).commit(nl), {
      message: /^add 80 : 1 to map "m" of table "inet t": E(EXIST|BUSY)$/,
    })
  },
)

t.test('every kind of thing is deleted again', { skip }, async t => {
  const { nl, list } = await netfilterHost(t)
  new NftTransaction().addTable(table).commit(nl)
  const empty = await list()
  const fill = new NftTransaction().addChain(table, { name: 'c' }).addChain(table, { name: 'd' })
  fill.addSet(table, pods4).addSet(table, exempt4)
  for (const comment of ['a', 'b', 'a']) fill.addRule(table, 'c', rule([m.setMarkBits(1)], { comment }))
  fill.insertRule(table, 'c', rule([m.jump('d')], { comment: 'first' }))
  const networks = ['10.0.0.0/8', '11.0.0.0/8', '255.0.0.0/8'].map(text => ({ key: [cidr(text)] }))
  for (const element of networks) fill.addElement(table, exempt4, element)
  fill.addElement(table, pods4, { key: [addr('10.0.0.2')] }).commit(nl)

  const comments = () => read.ruleList(nl, table, 'c').map(({ comment }) => comment)
  t.same(comments(), ['first', 'a', 'b', 'a'])
  const begun = (beginning: string, chain = 'c') =>
    read.ruleListByComment(nl, table, chain, beginning).map(({ comment }) => comment)
  t.same(
    [begun('a'), begun('fir'), begun('irst'), begun('a', 'd'), begun('a', 'x')],
    [['a', 'a'], ['first'], [], [], []],
  )
  const mine = new NftTransaction()
  for (const found of read.ruleList(nl, table, 'c')) {
    if (found.comment === 'a') mine.deleteRule(table, found)
  }
  mine.commit(nl)
  t.same(comments(), ['first', 'b'])

  t.throws(() => new NftTransaction().deleteChain(table, 'd').commit(nl), { code: 'EBUSY' })
  for (const network of networks) new NftTransaction().deleteElement(table, exempt4, network).commit(nl)
  t.same(read.elementList(nl, table, exempt4), [])
  new NftTransaction().flushSet(table, pods4).commit(nl)
  t.same(read.elementList(nl, table, pods4), [])
  new NftTransaction()
    .flushChain(table, 'c')
    .deleteChain(table, 'd')
    .deleteChain(table, 'c')
    .deleteSet(table, pods4)
    .deleteSet(table, exempt4)
    .commit(nl)
  t.equal(await list(), empty)
  new NftTransaction().deleteTable(table).commit(nl)
  t.equal(await list(), '')
})

t.test('a batch with a generation is refused after any change', { skip }, async t => {
  const { host, nl } = await netfilterHost(t)
  const generation = read.nftGeneration(nl)
  await host.run('nft', 'add', 'table', 'ip', 'foreign')
  t.not(read.nftGeneration(nl), generation)
  t.throws(() => new NftTransaction(generation).addTable(table).commit(nl), {
    message: 'change nftables: ERESTART',
    code: 'ERESTART',
  })
  t.same(read.tableList(nl, 'inet'), [])
  new NftTransaction(read.nftGeneration(nl)).addTable(table).commit(nl)
  t.equal(read.tableList(nl, 'inet')[0]?.name, table.name)
})

t.test('nftUpdate() runs again for what came in between, and gives up at last', { skip }, async t => {
  const { host, nl } = await netfilterHost(t)
  const other = netfilterSocket(t, host)
  let runs = 0
  const disturb = () => new NftTransaction().addTable({ family: 'ip', name: `t${runs}` }).commit(other)
  const seen = nftUpdate(nl, 'add the table', tx => {
    const tables = read.tableList(nl).length
    if (++runs <= 3) disturb()
    tx.addTable(table)
    return tables
  })
  t.equal(runs, 4)
  t.equal(seen, 3, 'the last run saw what the others left')
  const never = () =>
    nftUpdate(nl, 'add the table', tx => {
      runs++
      disturb()
      tx.deleteTable(table)
    })
  t.throws(never, { message: 'add the table: EAGAIN', code: 'EAGAIN' })
  t.equal(read.tableList(nl, 'inet')[0]?.name, table.name)
})

t.test('batches of hundreds of changes go through, or are refused, as one', { skip }, async t => {
  const { nl, list } = await netfilterHost(t)
  const pods = { ...pods4, interval: false } as const
  const key = (i: number) => [{ family: 4, bits: BigInt(0x0a000000 + i) } as const]
  const fill = () => {
    const tx = new NftTransaction().addTable(table).addChain(table, { name: 'c' }).addSet(table, pods)
    for (let i = 0; i < 500; i++) {
      const comment = `${i} ${'x'.repeat(100)}`
      tx.addElement(table, pods, { key: key(i), comment })
      for (let rules = 0; rules < 4; rules++) {
        tx.addRule(table, 'c', rule([m.setMarkBits(2), m.setMarkBits(1), m.accept()], { comment }))
      }
    }
    return tx
  }
  t.throws(
    () =>
      fill()
        .addRule(table, 'c', rule([m.jump('nowhere')]))
        .commit(nl),
    { code: 'ENOENT' },
  )
  t.equal(await list(), '')
  fill().commit(nl)
  t.equal(read.ruleList(nl, table, 'c').length, 2000)
  t.equal(read.elementList(nl, table, pods).length, 500)
  t.match(read.elementGet(nl, table, pods, key(499))?.comment, /^499 /)

  const absent = new NftTransaction()
  for (let i = 0; i < 2000; i++) absent.deleteElement(table, pods, { key: key(1000 + i) })
  t.throws(() => absent.commit(nl), { code: 'ENOENT', message: /^delete 10.0.3.232 from set "pods4"/ })
})

t.test('thousands of rules go by batches, those of a chain with no others at once', { skip }, async t => {
  const { nl, list } = await netfilterHost(t)
  const count = 1500
  const setUp = new NftTransaction().addTable(table)
  for (const name of ['mixed', 'own']) setUp.addChain(table, { name })
  setUp.addRule(table, 'mixed', rule([m.accept()], { comment: 'other' }))
  for (let i = 0; i < count; i++) {
    for (const chain of ['mixed', 'own']) setUp.addRule(table, chain, rule([m.drop()], { comment: 'gone' }))
  }
  setUp.commit(nl)
  let batches = 0
  const counting = {
    request: nl.request.bind(nl),
    dump: nl.dump.bind(nl),
    exchange: (...args: Parameters<typeof nl.exchange>) => {
      batches++
      return nl.exchange(...args)
    },
  }
  const gone = () =>
    ['mixed', 'own'].flatMap(chain =>
      read.ruleListByComment(nl, table, chain, 'gone').map(({ handle }) => ({ table, chain, handle })),
    )
  nftDeleteRules(counting, 'delete many', gone)
  t.equal(batches, 3, 'one for the chain that was theirs alone, two for the other')
  t.same(gone(), [])
  t.match(await list(), /chain mixed \{\s+accept comment "other"\s+\}/)
})
