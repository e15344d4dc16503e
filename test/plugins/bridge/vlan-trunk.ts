import t from 'tap'
import { spansOf, trunkVlans } from '../../../plugins/bridge/vlan-trunk'

t.test('trunkVlans() answers every VLAN once, ascending', async t => {
  const cases: [Parameters<typeof trunkVlans>[0], number[]][] = [
    [[], []],
    [[{}], []],
    [[{ id: 7 }], [7]],
    [
      [{ id: 101 }, { minID: 3, maxID: 5 }, { id: 4 }],
      [3, 4, 5, 101],
    ],
    [[{ minID: 9, maxID: 9, id: 2 }], [2, 9]],
    [[{ minID: 1, maxID: 4094 }], Array.from({ length: 4094 }, (_, i) => i + 1)],
  ]
  for (const [entries, vlans] of cases) t.same(trunkVlans(entries), vlans)
})

t.test('trunkVlans() refuses in the reference’s words', async t => {
  const cases: [Parameters<typeof trunkVlans>[0][number], string][] = [
    [{ minID: 1 }, 'minID and maxID should be configured simultaneously, maxID is missing'],
    [{ maxID: 1 }, 'minID and maxID should be configured simultaneously, minID is missing'],
    [{ minID: 0, maxID: 5 }, 'incorrect trunk minID parameter'],
    [{ minID: 4095, maxID: 5 }, 'incorrect trunk minID parameter'],
    [{ minID: 5, maxID: 4095 }, 'incorrect trunk maxID parameter'],
    [{ minID: 5, maxID: 0 }, 'incorrect trunk maxID parameter'],
    [{ minID: 6, maxID: 5 }, 'minID is greater than maxID in trunk parameter'],
    [{ id: 0 }, 'incorrect trunk id parameter'],
    [{ id: 4095 }, 'incorrect trunk id parameter'],
    [{ id: -1 }, 'incorrect trunk id parameter'],
  ]
  for (const [entry, message] of cases) t.throws(() => trunkVlans([{ id: 1 }, entry]), { code: 7, message })
})

t.test('spansOf() joins VLANs that follow one another', async t => {
  t.same(spansOf([]), [])
  t.same(spansOf([5]), [{ first: 5, last: 5 }])
  t.same(spansOf([1, 2, 3, 7, 9, 10]), [
    { first: 1, last: 3 },
    { first: 7, last: 7 },
    { first: 9, last: 10 },
  ])
})
