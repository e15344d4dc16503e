import t from 'tap'
import { pluginsNamed } from '../../plugins/program-name'

const plugins = ['bandwidth', 'bridge', 'host-local', 'kubenet', 'loopback', 'portmap']

t.test('a copy of a plugin under a longer name is still that plugin', async t => {
  const cases: [fileName: string, plugin: string][] = [
    ['bridge', 'bridge'],
    ['cnv-bridge', 'bridge'],
    ['bridge-1.9', 'bridge'],
    ['bridge.old', 'bridge'],
    ['my_bridge', 'bridge'],
    ['Bridge', 'bridge'],
    ['.bridge.new', 'bridge'],
    ['host-local-v2', 'host-local'],
    ['kubenet', 'kubenet'],
    ['kubenet-cli', 'kubenet'],
    ['kubenet-1.0-linux-x64', 'kubenet'],
    // The project's name in front of a plugin's.
    ['kubenet-bridge', 'bridge'],
    ['kubenet-portmap.old', 'portmap'],
    ['kubenet-cni-host-local', 'host-local'],
    // No word of its own, but there is no other in it.
    ['mybridge', 'bridge'],
    ['bridge2', 'bridge'],
    // A word counts more than a part of one.
    ['portmaps-bridge', 'bridge'],
  ]
  for (const [fileName, plugin] of cases) t.same(pluginsNamed(fileName, plugins), [plugin], fileName)
})

t.test('a name that tells nothing means no plugin', async t => {
  for (const fileName of ['', 'mynet', 'host', 'ptp', 'brid-ge', 'local-host'])
    t.same(pluginsNamed(fileName, plugins), [], fileName)
})

t.test('a name with two plugins in it means neither', async t => {
  t.same(pluginsNamed('bridge-portmap', plugins), ['bridge', 'portmap'])
  t.same(pluginsNamed('kubenet-loopback-bandwidth', plugins), ['bandwidth', 'loopback'])
})
