import t from 'tap'
import { listVersionFor } from '../../../node/conflist/list-version'

t.test('a list is of CNI 1.1.0 where every runtime is known to take it', async t => {
  for (const [runtimes, version, because] of [
    [['containerd://2.0.0'], '1.1.0', 'containerd://2.0.0 takes it'],
    [['containerd://2.1.4-k3s1'], '1.1.0', 'containerd://2.1.4-k3s1 takes it'],
    [['containerd://1.7.27'], '1.0.0', 'containerd://1.7.27 is not known to take 1.1.0'],
    [['containerd://v10.0.0'], '1.1.0', 'containerd://v10.0.0 takes it'],
    [['cri-o://1.31.0'], '1.1.0', 'cri-o://1.31.0 takes it'],
    [['cri-o://1.30.9'], '1.0.0', 'cri-o://1.30.9 is not known to take 1.1.0'],
    [['cri-o://2.0.0'], '1.1.0', 'cri-o://2.0.0 takes it'],
    [['docker://27.1.0'], '1.0.0', 'docker://27.1.0 is not known to take 1.1.0'],
    [['containerd://unknown'], '1.0.0', 'containerd://unknown is not known to take 1.1.0'],
    [['containerd://2.0.0', 'cri-o://1.31.0'], '1.1.0', 'containerd://2.0.0 and cri-o://1.31.0 take it'],
    [['containerd://2.0.0', 'cri-o://1.30.0'], '1.0.0', 'cri-o://1.30.0 is not known to take 1.1.0'],
    [[], '1.0.0', 'no containerd or CRI-O was found'],
  ] as [string[], string, string][]) {
    t.same(listVersionFor({ runtimes, reference: false }), { cniVersion: version, because })
  }
})

t.test('the reference plugins before 1.6 take no list of 1.1.0, whatever the runtime', async t => {
  const { cniVersion } = listVersionFor({ runtimes: ['containerd://2.0.0'], reference: true })
  t.equal(cniVersion, '1.0.0')
})
