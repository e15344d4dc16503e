import t from 'tap'
import { readNode } from '../../agent/cluster-node'
import { compareVersions, NodeStore } from '../../agent/node-store'

const node = (name: string, resourceVersion: string) => {
  const read = readNode({ metadata: { name, resourceVersion } })
  if (!read) throw new Error('it is no node')
  return read
}

t.test('compareVersions() orders versions of any length, and says where there is no order', async t => {
  const rows: [string, string, number | undefined][] = [
    ['9', '10', -1],
    ['10', '9', 1],
    ['10', '10', 0],
    // Beyond what a number holds exactly.
    ['9007199254740993', '9007199254740992', 1],
    ['abc', 'abd', undefined],
    ['010', '9', undefined],
  ]
  for (const [a, b, sign] of rows) {
    const order = compareVersions(a, b)
    t.equal(order === undefined ? undefined : Math.sign(order), sign, `${a} ${b}`)
  }
})

t.test('NodeStore takes over what is newer, and nothing twice', async t => {
  const store = new NodeStore()
  t.same(store.put(node('n1', '5')), { before: undefined, isStale: false })
  t.equal(store.put(node('n1', '5')).isStale, true)
  t.equal(store.put(node('n1', '4')).isStale, true)
  t.equal(store.put(node('n1', '11')).before?.resourceVersion, '5')
  t.equal(store.get('n1')?.resourceVersion, '11')
})

t.test('NodeStore brings no deleted node back by a late event, and takes one that is made again', async t => {
  const store = new NodeStore()
  store.put(node('n1', '5'))
  t.equal(store.remove(node('n1', '8')).isStale, false)
  t.equal(store.put(node('n1', '7')).isStale, true)
  t.equal(store.size, 0)
  t.equal(store.put(node('n1', '9')).isStale, false)
  t.equal(store.remove(node('n1', '8')).isStale, true)
  t.equal(store.size, 1)
})

t.test('NodeStore believes a whole list, also an older one', async t => {
  const store = new NodeStore()
  store.put(node('n1', '50'))
  store.remove(node('n2', '51'))
  store.replace([node('n2', '3')])
  t.same(
    [...store.all()].map(({ name }) => name),
    ['n2'],
  )
  t.equal(store.put(node('n1', '4')).isStale, false)
})
