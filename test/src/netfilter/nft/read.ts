import t from 'tap'
import * as r from '../../../../src/netfilter/nft/read'
import { netlinkError } from '../../../../src/netlink/error'
import type { Reply, Request } from '../../../../src/netlink/socket'

const table = { family: 'inet', name: 't' } as const
const set = { name: 's', key: ['inet_service'] } as const

/** A kernel that remembers what was asked and answers it with these messages, or refuses. */
const kernel = (answer: { type: number; hex: string } | string) => {
  const asked: { op: string; request: Request }[] = []
  const reply = (op: string, request: Request): Reply[] => {
    asked.push({ op, request })
    if (typeof answer === 'string') throw netlinkError(op, answer)
    return [{ type: answer.type, flags: 0, seq: 1, data: Buffer.from(answer.hex.replaceAll(' ', ''), 'hex') }]
  }
  return { asked, request: reply, dump: reply }
}

t.test('missing objects are empty or undefined', async t => {
  t.same(r.tableList(kernel('ENOENT')), [])
  t.same(r.chainList(kernel('ENOENT'), table), [])
  t.equal(r.chainGet(kernel('ENOENT'), table, 'c'), undefined)
  t.same(r.ruleList(kernel('ENOENT'), table, 'c'), [])
  t.same(r.setList(kernel('ENOENT'), table), [])
  t.same(r.elementList(kernel('ENOENT'), table, set), [])
  t.equal(r.elementGet(kernel('ENOENT'), table, set, [80]), undefined)
})

t.test('any other refusal is thrown', async t => {
  t.throws(() => r.ruleList(kernel('EPERM'), table), { message: 'list the rules of table "inet t": EPERM' })
})

t.test('the kernel is asked for the one table, chain or set', async t => {
  const bodies = (read: (nl: ReturnType<typeof kernel>) => unknown) => {
    const nl = kernel('ENOENT')
    read(nl)
    return nl.asked.map(({ request }) => Buffer.concat([...request.body]).toString('hex')).join()
  }
  const [t1, c2, c3, s2] = ['0600010074000000', '0600020063000000', '0600030063000000', '0600020073000000']
  t.equal(
    bodies(nl => r.ruleList(nl, table, 'c')),
    `01000000${t1}${c2}`,
  )
  t.equal(
    bodies(nl => r.chainGet(nl, table, 'c')),
    `01000000${t1}${c3}`,
  )
  t.equal(
    bodies(nl => r.elementList(nl, table, set)),
    `01000000${t1}${s2}`,
  )
  t.equal(
    bodies(nl => r.setList(nl, table)),
    `01000000${t1}`,
  )
})

t.test('an answer that is cut off is EBADMSG and says what was read', async t => {
  const cases = new Map<string, () => unknown>([
    ['list the nftables tables', () => r.tableList(kernel({ type: 0xa00, hex: '01' }))],
    [
      'list the rules of table "inet t"',
      () => r.ruleList(kernel({ type: 0xa06, hex: '01000000 0800' }), table),
    ],
    [
      'list the rules of chain "c" of table "inet t"',
      () => r.ruleList(kernel({ type: 0xa06, hex: '01000000' }), table, 'c'),
    ],
    [
      'list the elements of "s" of table "inet t"',
      () =>
        // A key of four bytes in a set of two.
        r.elementList(
          kernel({ type: 0xa0c, hex: '01000000 1400 0380 1000 0180 0c00 0180 0800 0100 00000050' }),
          table,
          set,
        ),
    ],
    ['read the generation of nftables', () => r.nftGeneration(kernel({ type: 0xa0f, hex: '01000000' }))],
  ])
  for (const [op, read] of cases) {
    t.throws(read, { message: `${op}: EBADMSG`, code: 'EBADMSG', details: /^\S+/ }, op)
  }
})
