import t from 'tap'
import { formatAddr } from '../../../src/ip/addr'
import { formatMac, linkLocalOf, macBytes, macFromHash, parseMac } from '../../../src/ip/mac'

t.test('parseMac() answers one form of six bytes and nothing else', async t => {
  t.equal(parseMac('0A-58-0a-01-02-03'), '0a:58:0a:01:02:03')
  for (const text of ['0a:58:0a:01:02', '0a:58:0a:01:02:03:04', '0a580a010203', 'gg:00:00:00:00:00', '']) {
    t.equal(parseMac(text), undefined, text)
  }
})

t.test('macFromHash() makes a unicast, locally administered address', async t => {
  t.equal(macFromHash('ffffffffffff00'), 'fe:ff:ff:ff:ff:ff')
  t.equal(macFromHash('000000000000'), '02:00:00:00:00:00')
})

t.test('macBytes() and formatMac() are each other’s reverse', async t => {
  t.same(macBytes('0a:58:0a:01:02:03'), Buffer.from('0a580a010203', 'hex'))
  t.equal(formatMac(macBytes('0a:58:0a:01:02:03')), '0a:58:0a:01:02:03')
})

t.test('linkLocalOf() is the address that the kernel makes of a MAC', async t => {
  t.equal(formatAddr(linkLocalOf('02:69:e2:ee:a5:3a')), 'fe80::69:e2ff:feee:a53a')
  t.equal(formatAddr(linkLocalOf('0a:58:0a:01:02:03')), 'fe80::858:aff:fe01:203')
})
