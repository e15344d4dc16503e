import t from 'tap'
import { readRule } from '../../../../../src/netfilter/nft/wire/rule'
import { readSet, readSetElems } from '../../../../../src/netfilter/nft/wire/set'
import { readChain, readTable } from '../../../../../src/netfilter/nft/wire/table'

const bytes = (...fields: string[]) => Buffer.from(fields.join('').replaceAll(' ', ''), 'hex')

// The answers of Linux 6.18 to the requests of the same name, counted from the attributes.
const answers = {
  table: bytes(
    '01 00 0003',
    '0600 0100 7400 0000',
    '0c00 0400 0000000000000001',
    '0900 0600 0003746300 000000',
  ),
  chain: bytes(
    '01 00 0003',
    '0600 0100 7400 0000',
    '0600 0300 6200 0000',
    '1400 0480',
    '0800 0100 00000000',
    '0800 0200 ffffff9c',
    '0800 0500 00000001',
    '0800 0700 6e617400',
  ),
  rule: bytes(
    '01 00 0003',
    '0600 0100 7400 0000',
    '0600 0200 6300 0000',
    '0c00 0300 0000000000000007',
    '1800 0480',
    '1400 0180',
    '0c00 0100 636f756e74657200',
    '0400 0280',
    '0900 0700 0003726300 000000',
  ),
  set: bytes(
    '01 00 0003',
    '0600 0100 7400 0000',
    '0600 0200 6d00 0000',
    '0800 0300 00000008',
    '0800 0400 0000030d',
    '0800 0600 000001cd',
  ),
  elements: bytes(
    '01 00 0003',
    '0600 0100 7400 0000',
    '0600 0200 7300 0000',
    '2000 0380',
    '1c00 0180',
    '0c00 0180',
    '0800 0100 0a000000',
    '0900 0600 0003c3a900 000000',
  ),
}

t.test('the lists of the kernel are read', async t => {
  t.same(readTable(answers.table), { family: 'inet', name: 't', comment: 'tc' })
  t.same(readChain(answers.chain), {
    table: 't',
    name: 'b',
    comment: '',
    type: 'nat',
    hook: 'prerouting',
    priority: -100,
    policy: 'accept',
  })
  t.match(readRule(answers.rule), { table: 't', chain: 'c', handle: 7n, comment: 'rc' })
  t.same(readRule(answers.rule).expressions, [{ name: 'counter', attributes: new Map() }])
  t.same(readSet(answers.set), {
    table: 't',
    name: 'm',
    flags: 8,
    keyType: 781,
    dataType: 461,
    comment: '',
  })
  t.same(readSetElems(answers.elements), [
    {
      key: bytes('0a000000'),
      keyEnd: undefined,
      data: undefined,
      flags: 0,
      notes: new Map([[0, bytes('c3a900')]]),
    },
  ])
})

t.test('readTable() is undefined for a family that is not used here', async t => {
  t.equal(readTable(Buffer.concat([bytes('05 00 0003'), answers.table.subarray(4)])), undefined)
})

t.test('readSetElems() leaves out the catch-all element, which has no key', async t => {
  const list = bytes('01 00 0003', '1000 0380', '0c00 0180', '0800 0300 00000002')
  t.same(readSetElems(list), [])
})

t.test('a message that is cut off anywhere is an error or lacks its end, and never crashes', async t => {
  const readers = {
    table: readTable,
    chain: readChain,
    rule: (body: Buffer) => readRule(body).expressions,
    set: readSet,
    elements: readSetElems,
  }
  for (const name of Object.keys(readers) as (keyof typeof readers)[]) {
    const whole = answers[name]
    for (let length = 0; length < whole.length; length++) {
      try {
        readers[name](whole.subarray(0, length))
      } catch (error) {
        t.match((error as Error).message, /^(Invalid|Missing|an attribute of)/, `${name} cut at ${length}`)
      }
    }
    t.throws(() => readers[name](whole.subarray(0, 2)), { message: 'Invalid message length (2)' })
  }
  t.throws(() => readRule(answers.rule.subarray(0, 20)), { message: 'Missing handle' })
  t.throws(() => readRule(answers.rule.subarray(0, 27)), {
    message: 'an attribute of 12 bytes where there are 7',
  })
  t.throws(() => readChain(answers.chain.subarray(0, 12)), { message: 'Missing name' })
})
