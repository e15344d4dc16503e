import { readdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { StickyPod } from '../../../plugins/host-local/sticky'
import { formatAddr } from '../../../src/ip/addr'

/** The memories of one network for pods by name. */
const memories = (dataDir: string) => {
  const pod = (name: string, ifName = 'eth0') =>
    new StickyPod({ dataDir, network: 'net' }, `ns/${name}`, ifName)
  return {
    note: (name: string, ...addresses: string[]) => pod(name).note(addresses),
    of: (name: string, ifName?: string) => pod(name, ifName).addresses().map(formatAddr),
    files: () => readdirSync(`${dataDir}/.kubenet/net/sticky`),
  }
}

t.test('a pod is remembered by its name and its interface', async t => {
  const { note, of } = memories(t.testdir())
  t.same(of('a'), [])
  note('a', '10.1.2.3', 'fd00::3')
  t.same(of('a'), ['10.1.2.3', 'fd00::3'])
  t.same(of('a', 'eth1'), [])
  t.same(of('b'), [])
})

t.test('an address is remembered for its last holder alone', async t => {
  const { note, of, files } = memories(t.testdir())
  note('a', '10.1.2.3', 'fd00::3')
  note('b', '10.1.2.3', 'fd00::4')
  t.same([of('a'), of('b')], [['fd00::3'], ['10.1.2.3', 'fd00::4']])
  note('b', '10.1.2.3', 'fd00::3')
  t.same([of('a'), of('b')], [[], ['10.1.2.3', 'fd00::3']])
  t.equal(files().length, 3, 'one for b and one for each of its addresses')
})

t.test('as many pods as come, there are never more files than twice the addresses', async t => {
  const { note, files } = memories(t.testdir())
  for (let i = 0; i < 50; i++) note(`p${i}`, `10.1.2.${i % 5}`)
  t.equal(files().length, 10)
})

t.test('notes that say something else are no notes', async t => {
  const dataDir = t.testdir()
  const { note, of, files } = memories(dataDir)
  note('a', '10.1.2.3')
  const key = files().find(name => !name.includes('.')) ?? ''
  const folder = `${dataDir}/.kubenet/net/sticky`
  for (const text of ['', '../../../etc/passwd', 'f'.repeat(24)]) {
    writeFileSync(`${folder}/10.1.2.3`, text)
    t.same(of('a'), [], JSON.stringify(text))
  }
  note('a', '10.1.2.3')
  writeFileSync(`${folder}/${key}`, 'x 10.1.2.3 10.9')
  t.same(of('a'), ['10.1.2.3'])
})

t.test('where nothing can be noted nothing fails', async t => {
  const { note, of } = memories(`${t.testdir({ file: '' })}/file`)
  note('a', '10.1.2.3')
  t.same(of('a'), [])
})
