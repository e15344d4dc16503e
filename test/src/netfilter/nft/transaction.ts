import t from 'tap'
import { isFrom } from '../../../../src/host/system-error'
import { rule } from '../../../../src/netfilter/nft/rule'
import { iifname } from '../../../../src/netfilter/nft/selector'
import { accept, eq } from '../../../../src/netfilter/nft/statement'
import { NftTransaction, nftUpdate } from '../../../../src/netfilter/nft/transaction'
import { netlinkError } from '../../../../src/netlink/error'
import type { Reply, Request } from '../../../../src/netlink/socket'

const table = { family: 'inet', name: 't' } as const

const first = 7

const answer = (seq: number, errno: number): Reply => {
  const data = Buffer.alloc(20)
  data.writeInt32LE(-errno)
  return { type: 2, flags: 0, seq, data }
}

/** A kernel that remembers the batches and answers them with these errnos by sequence number. */
const kernel = (...answers: Reply[][]) => {
  const batches: (readonly Request[])[] = []
  const exchange = (_op: string, requests: readonly Request[]) => {
    batches.push(requests)
    return { first, replies: answers[Math.min(batches.length, answers.length) - 1] ?? [] }
  }
  const generation = {
    type: 0x0a0f,
    flags: 0,
    seq: 1,
    data: Buffer.from('00000000' + '0800010000000005', 'hex'),
  }
  return { batches, exchange, request: () => [generation], dump: () => [] }
}

const hex = ({ body }: Request) => Buffer.concat([...body]).toString('hex')

t.test('a batch is framed, and only its last change asks for an answer', async t => {
  const nl = kernel([answer(first + 2, 0)])
  new NftTransaction().addTable(table).flushChain(table, 'c').commit(nl)
  const [requests = []] = nl.batches
  // struct nfgenmsg { 0, 0, NFNL_SUBSYS_NFTABLES }, see <linux/netfilter/nfnetlink.h>
  t.same(
    requests.map(({ type, flags }) => [type, flags]),
    [
      [0x10, undefined],
      [0x0a00, 0x400], // NLM_F_CREATE
      [0x0a08, 0x4], // NLM_F_ACK
      [0x11, undefined],
    ],
  )
  t.same(requests.map(hex), [
    '0000000a',
    '01000000' + '0600010074000000',
    '01000000' + '0600010074000000' + '0600020063000000',
    '0000000a',
  ])
})

t.test('a generation goes with the head of the batch', async t => {
  const nl = kernel([])
  new NftTransaction(0x01020304).addTable(table).commit(nl)
  t.equal(nl.batches[0]?.[0] && hex(nl.batches[0][0]), '0000000a' + '0800010001020304')
})

t.test('nothing to change is nothing to send', async t => {
  const nl = kernel()
  const tx = new NftTransaction()
  t.equal(tx.size, 0)
  tx.commit(nl)
  t.equal(nl.batches.length, 0)
})

t.test('each change has the flags of its verb', async t => {
  const nl = kernel([])
  const set = { name: 's', key: ['inet_service'] } as const
  const r = rule([accept()])
  new NftTransaction()
    .addRule(table, 'c', r)
    .insertRule(table, 'c', r)
    .addElement(table, set, { key: [80] })
    .createElement(table, set, { key: [81] })
    .deleteElement(table, set, { key: [80] })
    .commit(nl)
  t.same(
    nl.batches[0]?.slice(1, -1).map(({ type, flags }) => [type, flags]),
    [
      [0x0a06, 0xc00], // CREATE | APPEND
      [0x0a06, 0x400],
      [0x0a0c, 0x400],
      [0x0a0c, 0x600], // CREATE | EXCL
      [0x0a0e, 0x4],
    ],
  )
})

t.test('commit() names the first change that was refused', async t => {
  const set = { name: 'pods', key: ['inet_proto', 'inet_service'], data: ['inet_service'] } as const
  const fill = () =>
    new NftTransaction()
      .addTable(table)
      .addChain(table, { name: 'c' })
      .flushChain(table, 'c')
      .addRule(table, 'c', rule([accept()]))
      .insertRule(table, 'c', rule([accept()]))
      .deleteRule(table, { chain: 'c', handle: 12n })
      .addSet(table, set)
      .addElement(table, set, { key: ['tcp', 80], data: [8080] })
      .deleteElement(table, set, { key: ['tcp', 80] })
      .flushSet(table, set)
      .deleteSet(table, set)
      .deleteChain(table, 'c')
      .deleteTable(table)
  const ops = [
    'change nftables',
    'add table "inet t"',
    'add chain "c" to table "inet t"',
    'flush chain "c" of table "inet t"',
    'add rule to chain "c" of table "inet t"',
    'insert rule to chain "c" of table "inet t"',
    'delete rule 12 of chain "c" of table "inet t"',
    'add map "pods" to table "inet t"',
    'add tcp . 80 : 8080 to map "pods" of table "inet t"',
    'delete tcp . 80 from map "pods" of table "inet t"',
    'flush map "pods" of table "inet t"',
    'delete map "pods" of table "inet t"',
    'delete chain "c" of table "inet t"',
    'delete table "inet t"',
  ]
  for (const [i, op] of ops.entries()) {
    const replies = [answer(first + 99, 2), answer(first + i, 2), answer(first + 13, 0)]
    t.throws(() => fill().commit(kernel(replies)), {
      name: 'Error',
      message: `${op}: ENOENT`,
      code: 'ENOENT',
    })
  }
})

t.test('nftUpdate() builds again with the new generation until no other change came first', async t => {
  const nl = kernel([answer(first, 85)], [answer(first, 85)], [answer(first + 1, 0)])
  let built = 0
  const result = nftUpdate(nl, 'add the pod', tx => {
    tx.addTable(table)
    return ++built
  })
  t.equal(result, 3)
  t.equal(nl.batches.length, 3)
  t.equal(nl.batches[2]?.[0] && hex(nl.batches[2][0]), '0000000a' + '0800010000000005')
})

t.test('nftUpdate() gives up with EAGAIN', async t => {
  const nl = kernel([answer(first, 85)])
  t.throws(() => nftUpdate(nl, 'add the pod', tx => tx.addTable(table)), {
    message: 'add the pod: EAGAIN',
    code: 'EAGAIN',
    details: /nftables changed during each of 64 attempts/,
  })
  t.equal(nl.batches.length, 64)
})

t.test('nftUpdate() throws any other refusal at once, and sends nothing for nothing', async t => {
  const refused = kernel([answer(first + 1, 1)])
  t.throws(
    () => nftUpdate(refused, 'x', tx => tx.addTable(table)),
    netlinkError('add table "inet t"', 'EPERM'),
  )
  t.equal(refused.batches.length, 1)
  const idle = kernel()
  t.equal(
    nftUpdate(idle, 'x', () => 'nothing'),
    'nothing',
  )
  t.equal(idle.batches.length, 0)
})

t.test('a refusal names the modules that a kernel may have left out', async t => {
  const refusal = (build: (tx: NftTransaction) => NftTransaction, errno: number) => {
    try {
      build(new NftTransaction()).commit(kernel([answer(first + 1, errno)]))
    } catch (error) {
      return isFrom(error, 'netlink') ? error.details : error
    }
    return undefined
  }
  const ENOENT = 2
  const bridge = { family: 'bridge', name: 't' } as const
  const rejects = rule([eq(iifname, 'veth1'), accept()])
  t.equal(
    refusal(tx => tx.addRule(bridge, 'c', rejects), ENOENT),
    'the kernel may lack nft_meta_bridge: try "modprobe -a nft_meta_bridge"; if there is no such module, install the ' +
      "distribution's package of extra kernel modules; no such file or directory",
  )
  // In other families nf_tables itself has all that this rule needs.
  t.equal(
    refusal(tx => tx.addRule(table, 'c', rejects), ENOENT),
    'no such file or directory',
  )
  const nat = { name: 'c', type: 'nat', hook: 'postrouting', priority: 100 } as const
  t.match(
    refusal(tx => tx.addChain(table, nat), ENOENT),
    /^the kernel may lack nft_chain_nat: /,
  )
})
