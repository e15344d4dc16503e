import t from 'tap'
import {
  containerWithPod,
  isAmong,
  keyOf,
  podInArgs,
  shortened,
  shortName,
} from '../../../src/attachment/attachment'
import { podInPairs } from '../../../src/runtime/attachment'

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

t.test('a pod is named by its namespace and its name, as far as the runtime gave them', async t => {
  const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=7'
  t.equal(podInArgs(args), 'shop/web-0')
  t.equal(podInArgs('K8S_POD_NAME=web-0'), 'web-0')
  for (const none of ['', 'IP=10.1.2.3', 'K8S_POD_NAMESPACE=shop', 'K8S_POD_NAME=', 'XK8S_POD_NAME=a']) {
    t.equal(podInArgs(none), undefined, none)
  }
  t.equal(
    podInPairs([
      ['K8S_POD_NAMESPACE', 'shop'],
      ['K8S_POD_NAME', 'web-0'],
    ]),
    'shop/web-0',
  )
  t.equal(podInPairs(undefined), undefined)
})

t.test('a container is named with its pod, if that is known', async t => {
  t.equal(containerWithPod({ containerID: '4f2a', pod: 'shop/web-0' }), '4f2a (pod shop/web-0)')
  t.equal(containerWithPod({ containerID: '4f2a' }), '4f2a')
})
