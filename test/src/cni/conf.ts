import t from 'tap'
import { parseJsonObject, parseNetConf, validAttachments } from '../../../src/cni/conf'

t.test('parseJsonObject() refuses what is no JSON object, with code 6', async t => {
  for (const text of ['', '{', 'null', '[]', '"x"', '{"a": NaN}', '\0']) {
    t.throws(() => parseJsonObject(text), { code: 6 }, JSON.stringify(text))
  }
  t.same(parseJsonObject('{"name": "net"}'), { name: 'net' })
})

t.test(
  'parseNetConf() refuses a network without a name or with one that is no file name, with code 7',
  async t => {
    for (const name of [undefined, null, '']) {
      t.throws(() => parseNetConf({ name }), { code: 7, message: 'missing network name' }, String(name))
    }
    for (const name of ['../etc', 'a/b', '.hidden', 'a b', 'x\0', '-a']) {
      t.throws(
        () => parseNetConf({ name }),
        { code: 7, message: 'invalid characters found in network name' },
        name,
      )
    }
    t.throws(() => parseNetConf({ name: 7 }), { code: 7 })
  },
)

t.test('parseNetConf() refuses a version that is no text with code 6', async t => {
  t.throws(() => parseNetConf({ name: 'net', cniVersion: 1 }), { code: 6 })
})

t.test('parseNetConf() takes keys in any case and keeps no unknown ones', async t => {
  const conf = parseNetConf({ CNIVersion: '1.0.0', Name: 'net', extra: true })
  t.same([conf.cniVersion, conf.name], ['1.0.0', 'net'])
})

t.test('validAttachments() reads both spellings of the key', async t => {
  const listed = [{ containerID: 'c1', ifname: 'eth0' }]
  for (const key of ['cni.dev/valid-attachments', 'cni.dev/attachments']) {
    const conf = parseNetConf({ name: 'net', [key]: listed })
    t.same(validAttachments(conf), [{ network: 'net', containerID: 'c1', ifName: 'eth0' }], key)
  }
})

t.test(
  'validAttachments() takes an empty list at its word and refuses an absent one with code 7',
  async t => {
    t.same(validAttachments(parseNetConf({ name: 'net', 'cni.dev/valid-attachments': [] })), [])
    t.throws(() => validAttachments(parseNetConf({ name: 'net' })), { code: 7 })
  },
)
