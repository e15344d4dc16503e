import t from 'tap'
import { findConflicts } from '../../../plugins/portmap/listeners'
import { type Addr, formatAddr, parseAddr } from '../../../src/ip/addr'
import type { ListeningSocket } from '../../../src/netlink/sock-diag'
import { mapping, read, resultWith } from './fixtures/call'

const prevResult = resultWith('10.1.2.3/24', 'fd00:2::3/64')

const addr = (text: string): Addr => {
  const parsed = parseAddr(text)
  if (!parsed) throw new Error(text)
  return parsed
}

const on = (text: string, more: Partial<ListeningSocket> = {}): ListeningSocket => ({
  protocol: 'tcp',
  addr: addr(text),
  port: 8080,
  v6Only: false,
  inode: 1,
  ...more,
})

/** The addresses of the sockets that are in the way of port 8080 with these keys. */
const inTheWay = (sockets: readonly ListeningSocket[], keys: object = {}, more: object = {}): string[] => {
  const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp', ...keys }
  return findConflicts(read({ prevResult, ...mapping(web), ...more }), sockets).map(({ socket }) =>
    formatAddr(socket.addr),
  )
}

t.test('a socket on any address is in the way of a port of every address', async t => {
  for (const text of ['0.0.0.0', '127.0.0.1', '192.0.2.1', '::', '2001:db8::1'])
    t.same(inTheWay([on(text)]), [text])
  t.same(inTheWay([]), [])
})

t.test('not one of another protocol or port', async t => {
  t.same(inTheWay([on('0.0.0.0', { protocol: 'udp' }), on('0.0.0.0', { port: 8081 })]), [])
  t.same(inTheWay([on('0.0.0.0', { protocol: 'udp' })], { protocol: 'udp' }), ['0.0.0.0'])
})

t.test('of a port of one address, only those that serve it', async t => {
  const sockets = ['192.0.2.1', '192.0.2.2'].map(text => on(text))
  t.same(inTheWay(sockets, { hostIP: '192.0.2.2' }), ['192.0.2.2'])
  t.same(inTheWay([on('0.0.0.0')], { hostIP: '192.0.2.2' }), ['0.0.0.0'])
  t.same(inTheWay([on('2001:db8::1')], { hostIP: '192.0.2.2' }), [])
})

t.test('one on "::" serves IPv4 too, unless it is for IPv6 alone', async t => {
  t.same(inTheWay([on('::')], { hostIP: '192.0.2.2' }), ['::'])
  t.same(inTheWay([on('::', { v6Only: true })], { hostIP: '192.0.2.2' }), [])
  t.same(inTheWay([on('::', { v6Only: true })], { hostIP: '2001:db8::1' }), ['::'])
})

t.test('with conditions the meant connections are unknown', async t => {
  const conditions = { conditionsV4: ['-s', '192.0.2.0/24'] }
  t.same(inTheWay([on('0.0.0.0')], {}, conditions), [])
  t.same(inTheWay([on('2001:db8::1')], {}, conditions), ['2001:db8::1'], 'those of IPv4 are for IPv4')
})
