import t from 'tap'
import { isAmong, keyOf, shortened, shortName } from '../../../src/attachment/attachment'

const id = { network: 'net', containerID: 'c1', ifName: 'eth0' }

t.test('keyOf() never changes: records and claims of before must be found', async t => {
  t.equal(keyOf(id), '3fafa1272e4b211e93199be9')
  t.not(keyOf({ ...id, ifName: 'eth1' }), keyOf(id))
  t.not(keyOf({ ...id, network: 'net2' }), keyOf(id))
  t.not(keyOf({ network: 'ne', containerID: 'tc1', ifName: 'eth0' }), keyOf(id))
})

t.test('a name of up to 100 bytes is short enough', async t => {
  t.equal(shortName('n'.repeat(100)), 'n'.repeat(100))
  t.match(shortName('n'.repeat(101)), /^sha512:[0-9a-f]{64}$/)
})

t.test('isAmong() compares all three parts', async t => {
  const isValid = isAmong([id])
  t.ok(isValid(id))
  t.notOk(isValid({ ...id, network: 'net2' }))
  t.notOk(isValid({ ...id, containerID: 'c2' }))
  t.notOk(isValid({ ...id, ifName: 'eth1' }))
  t.notOk(isAmong([])(id))
})

t.test('isAmong() knows long names by their hashes too', async t => {
  const long = { ...id, network: 'n'.repeat(200) }
  t.ok(isAmong([long])(long))
  t.ok(isAmong([long])(shortened(long)))
  t.notOk(isAmong([{ ...long, network: 'n'.repeat(201) }])(shortened(long)))
})
