import t from 'tap'
import { bandwidthSchema } from '../../plugins/bandwidth/config'
import { bridgeSchema } from '../../plugins/bridge/config'
import { hostLocalSchema } from '../../plugins/host-local/config'
import { kubenetSchema } from '../../plugins/kubenet/config'
import { portmapSchema } from '../../plugins/portmap/config'
import { pluginSchemas } from '../../plugins/schemas'
import { commonEntries } from '../../src/cni/schema'

const common = Object.keys(commonEntries)

t.test('the keys of every plugin are checked once a call: no plugin reads them again', async t => {
  for (const { entries } of [bandwidthSchema, bridgeSchema, hostLocalSchema, kubenetSchema, portmapSchema])
    t.same(
      Object.keys(entries).filter(key => common.includes(key)),
      [],
      Object.keys(entries).join(' '),
    )
})

t.test('the whole schema of a plugin, which editors check with, has them', async t => {
  for (const [name, { entries }] of Object.entries(pluginSchemas))
    t.same(Object.keys(entries).slice(0, common.length), common, name)
})
