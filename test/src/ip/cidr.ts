import t from 'tap'
import { formatAddr, parseAddr } from '../../../src/ip/addr'
import {
  type Cidr,
  cidrContains,
  cidrOverlaps,
  firstHost,
  formatCidr,
  isNetwork,
  lastAddr,
  literalCidr,
  networkOf,
  parseCidr,
} from '../../../src/ip/cidr'

const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text)
  if (!parsed) throw new Error(`${text} is no CIDR`)
  return parsed
}

t.test('parseCidr() keeps the host bits and refuses what is no address with a length', async t => {
  t.equal(formatCidr(cidr('10.1.2.3/24')), '10.1.2.3/24')
  t.equal(formatCidr(cidr('FD00::0:3/64')), 'fd00::3/64')
  t.equal(formatCidr(cidr('::ffff:10.0.0.1/120')), '10.0.0.1/24')
  for (const text of [
    '10.1.2.3',
    '10.1.2.3/33',
    '10.1.2.3/',
    '10.1.2.3/024',
    'fd00::/129',
    '10.1/16',
    '/8',
    '10.1.2.3/-1',
  ]) {
    t.equal(parseCidr(text), undefined, text)
  }
})

t.test('a network’s own, first and last addresses', async t => {
  const rows = [
    ['10.1.2.77/24', '10.1.2.0/24', '10.1.2.1', '10.1.2.255'],
    ['10.1.2.77/30', '10.1.2.76/30', '10.1.2.77', '10.1.2.79'],
    ['fd00::1234/112', 'fd00::/112', 'fd00::1', 'fd00::ffff'],
    ['0.0.0.0/0', '0.0.0.0/0', '0.0.0.1', '255.255.255.255'],
  ] as const
  for (const [text, network, first, last] of rows) {
    t.equal(formatCidr(networkOf(cidr(text))), network, text)
    t.equal(formatAddr(firstHost(cidr(text))), first, text)
    t.equal(formatAddr(lastAddr(cidr(text))), last, text)
  }
  t.ok(isNetwork(cidr('10.1.2.0/24')))
  t.notOk(isNetwork(cidr('10.1.2.1/24')))
})

t.test('cidrContains() and cidrOverlaps() tell families apart', async t => {
  const addr = (text: string) => parseAddr(text) ?? { family: 4 as const, bits: 0n }
  t.ok(cidrContains(cidr('10.1.0.0/16'), addr('10.1.255.255')))
  t.notOk(cidrContains(cidr('10.1.0.0/16'), addr('10.2.0.0')))
  t.notOk(cidrContains(cidr('0.0.0.0/0'), addr('::1')))
  t.ok(cidrOverlaps(cidr('10.0.0.0/8'), cidr('10.1.2.0/24')))
  t.ok(cidrOverlaps(cidr('10.1.2.0/24'), cidr('10.0.0.0/8')))
  t.notOk(cidrOverlaps(cidr('10.1.2.0/24'), cidr('10.1.3.0/24')))
})

t.test('literalCidr() throws for what is no network, so that a typo never means everywhere', async t => {
  t.equal(formatCidr(literalCidr('127.0.0.0/8')), '127.0.0.0/8')
  t.equal(formatCidr(literalCidr('ff00::/8')), 'ff00::/8')
  for (const text of ['127.0.0.0', '127.0.0/8', '127.0.0.0/33', '127.0.0.1/8', 'ff00::/129', 'ff00:/8', ''])
    t.throws(() => literalCidr(text), { message: `${JSON.stringify(text)} is no network` }, text)
})
