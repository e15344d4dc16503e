import t from 'tap'
import { parseResolvConf, readResolvConf } from '../../../plugins/host-local/resolv-conf'

t.test('parseResolvConf() adds search and options up, and takes the last domain', async t => {
  const text = [
    '# a comment',
    '; another',
    '   nameserver 192.0.2.1',
    'nameserver\t2001:db8::1   # not part of it',
    'domain first.example',
    'search a.example  b.example',
    'options ndots:2',
    'domain last.example',
    'search c.example',
    '\toptions  rotate  timeout:1 ',
    'sortlist 130.155.160.0/255.255.240.0',
    'nameserver',
    '#nameserver 192.0.2.9',
    '',
  ].join('\n')
  t.same(parseResolvConf(text), {
    nameservers: ['192.0.2.1', '2001:db8::1'],
    domain: 'last.example',
    search: ['a.example', 'b.example', 'c.example'],
    options: ['ndots:2', 'rotate', 'timeout:1'],
  })
})

t.test('parseResolvConf() leaves out what the file does not have', async t => {
  t.same(parseResolvConf(''), {})
  t.same(parseResolvConf('nameserver 192.0.2.1\r\n'), { nameservers: ['192.0.2.1'] })
  t.same(parseResolvConf('search'), {})
})

t.test('readResolvConf() reads the file, and says which one it cannot read', async t => {
  const folder = t.testdir({ 'resolv.conf': 'search example.org\n' })
  t.same(readResolvConf(`${folder}/resolv.conf`), { search: ['example.org'] })
  for (const [path, details] of [
    [`${folder}/none`, 'ENOENT: no such file or directory'],
    [folder, `"${folder}" is a folder, not a regular file`],
  ] as const)
    t.throws(() => readResolvConf(path), { code: 5, message: `read resolvConf "${path}"`, details })
})
