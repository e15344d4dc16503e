import { chmodSync } from 'node:fs'
import t from 'tap'
import { findPlugin, listPlugins } from '../../../src/runtime/plugin-path'

t.test('findPlugin() takes the first regular file of that name', async t => {
  const dir = t.testdir({ a: { bridge: {} }, b: { bridge: '' }, c: { bridge: '', portmap: '' } })
  const binDirs = ['/nonexistent', `${dir}/a`, `${dir}/b`, `${dir}/c`]
  t.equal(findPlugin('bridge', binDirs), `${dir}/b/bridge`)
  t.equal(findPlugin('portmap', binDirs), `${dir}/c/portmap`)
})

t.test('findPlugin() says where it looked', async t => {
  t.throws(() => findPlugin('nope', ['/a', '/b']), {
    code: 7,
    message: 'failed to find plugin "nope" in path [/a /b]',
  })
  t.throws(() => findPlugin('../bridge', ['/a']), { code: 7, message: 'invalid plugin name: ../bridge' })
  t.throws(() => findPlugin('', ['/a']), { code: 7, message: 'no plugin name provided' })
})

t.test('listPlugins() lists executables once, where a runtime would find them', async t => {
  const dir = t.testdir({
    a: { portmap: '', bridge: '', 'README.md': '', '.bridge.new': '', folder: {} },
    b: { bridge: '', loopback: '' },
  })
  for (const path of ['a/portmap', 'a/bridge', 'a/.bridge.new', 'b/bridge', 'b/loopback']) {
    chmodSync(`${dir}/${path}`, 0o755)
  }
  t.same(listPlugins([`${dir}/a`, '/nonexistent', `${dir}/b`]), [
    { name: 'bridge', path: `${dir}/a/bridge` },
    { name: 'portmap', path: `${dir}/a/portmap` },
    { name: 'loopback', path: `${dir}/b/loopback` },
  ])
})
