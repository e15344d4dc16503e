import t from 'tap'
import { addrBytes, formatAddr, nextAddr, parseAddr } from '../../../src/ip/addr'

const parse = (text: string) => {
  const addr = parseAddr(text)
  if (!addr) throw new Error(`${text} is no address`)
  return addr
}

t.test('nextAddr() carries across octets and groups', async t => {
  const cases = new Map([
    ['192.168.0.255', '192.168.1.0'],
    ['2001:db8::ffff', '2001:db8::1:0'],
    ['255.255.255.255', '0.0.0.0'],
  ])
  for (const [addr, next] of cases) t.equal(formatAddr(nextAddr(parse(addr))), next, `after ${addr}`)
})

t.test('parseAddr() takes what Go takes and nothing else', async t => {
  const cases = new Map([
    ['10.1.2.3', '10.1.2.3'],
    ['FD00:0::0:1', 'fd00::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::', '::'],
    ['0000:0000:0000:0000:0000:ffff:255.255.255.255', '255.255.255.255'],
  ])
  for (const [text, canonical] of cases) t.equal(formatAddr(parse(text)), canonical, text)
  for (const text of [
    '10.1',
    '012.0.0.1',
    '1.2.3.4.5',
    '256.0.0.1',
    '10.1.2.3/24',
    'fe80::1%eth0',
    '',
    ' 10.1.2.3',
    '0x7f.1.1.1',
    ':::',
    ':'.repeat(15_000_000),
    '1.'.repeat(7_500_000),
  ]) {
    t.equal(parseAddr(text), undefined, JSON.stringify(text.slice(0, 64)))
  }
})

t.test('addrBytes() is in network byte order', async t => {
  t.same(addrBytes(parse('10.1.2.3')), Buffer.from('0a010203', 'hex'))
  t.same(addrBytes(parse('fd00::3')), Buffer.from('fd000000000000000000000000000003', 'hex'))
})
