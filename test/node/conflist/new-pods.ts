/** The key by which kubenet refuses new pods, in a configuration that may not be the agent's own. */
import t from 'tap'
import { withoutNewPods } from '../../../node/conflist/conflist'

t.test('kubenet gets the key, and all else stays', async t => {
  const list = {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [{ type: 'kubenet', podCIDRs: ['10.244.1.0/24'], mtu: 1400 }, { type: 'tuning' }],
  }
  const once = withoutNewPods(JSON.stringify(list), 'the ranges change') ?? ''
  t.same(JSON.parse(once), {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      { type: 'kubenet', podCIDRs: ['10.244.1.0/24'], mtu: 1400, noNewPods: 'the ranges change' },
      { type: 'tuning' },
    ],
  })
  t.equal(withoutNewPods(once, 'the ranges change'), once, 'twice is as once')
})

t.test('other plugins do not know the key', async t => {
  const plugins = [{ type: 'bridge', ipam: { type: 'host-local' } }, { type: 'portmap' }]
  t.equal(withoutNewPods(JSON.stringify({ name: 'pods', plugins }), 'the ranges change'), undefined)
  t.equal(withoutNewPods('{}', 'the ranges change'), undefined)
})
