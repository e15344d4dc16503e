import t from 'tap'
import { containerWithPod, podInArgs } from '../../../src/attachment/attachment'
import { podInPairs } from '../../../src/runtime/attachment'

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
