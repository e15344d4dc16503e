import t from 'tap'
import { cniVersionFor } from '../../agent/node-network'

t.test('a list is of CNI 1.1.0 where the runtime is known to take it', async t => {
  for (const [runtime, version] of [
    ['containerd://2.0.0', '1.1.0'],
    ['containerd://2.1.4-k3s1', '1.1.0'],
    ['containerd://1.7.27', '1.0.0'],
    ['containerd://v10.0.0', '1.1.0'],
    ['cri-o://1.31.0', '1.1.0'],
    ['cri-o://1.30.9', '1.0.0'],
    ['cri-o://2.0.0', '1.1.0'],
    ['docker://27.1.0', '1.0.0'],
    ['', '1.0.0'],
    [undefined, '1.0.0'],
  ] as const) {
    t.equal(cniVersionFor(runtime), version, runtime ?? 'nothing')
  }
})
