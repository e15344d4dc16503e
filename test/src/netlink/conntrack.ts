import t from 'tap'
import { formatAddr } from '../../../src/ip/addr'
import { conntrackDelete, conntrackList } from '../../../src/netlink/conntrack'
import { netlinkError } from '../../../src/netlink/error'
import type { NetlinkSocket, Reply, Request } from '../../../src/netlink/socket'

/** The bytes of lines of hex digits, each with what it is behind two slashes. */
const hex = (lines: string): Buffer => Buffer.from(lines.replace(/\/\/.*$/gm, '').replace(/\s/g, ''), 'hex')

/** A socket that notes what it is asked and answers with what is given. */
const fakeSocket = (answer: (request: Request) => Reply[]) => {
  const asked: { type: number; body: string }[] = []
  const reply = (_: string, request: Request): Reply[] => {
    asked.push({ type: request.type, body: Buffer.concat(request.body).toString('hex') })
    return answer(request)
  }
  // Requests and dumps alone are made here; the rest of the class is of no concern.
  return { asked, nl: { request: reply, dump: reply } as unknown as NetlinkSocket }
}

// As the kernel lists 192.0.2.9:4000 -> 192.0.2.1:53, answered by 10.1.2.3:53.
const entry = hex(`
  02 00 0000                                           // nfgenmsg
  3400 0180                                            // CTA_TUPLE_ORIG
    1400 0180  0800 0100 c0000209  0800 0200 c0000201  // CTA_TUPLE_IP: source, destination
    1c00 0280  0500 0100 11 000000                     // CTA_TUPLE_PROTO: UDP
      0600 0200 0fa0 0000  0600 0300 0035 0000         // its source and destination port
  3400 0280                                            // CTA_TUPLE_REPLY
    1400 0180  0800 0100 0a010203  0800 0200 c0000209
    1c00 0280  0500 0100 11 000000
      0600 0200 0035 0000  0600 0300 0fa0 0000
  0800 0c00 12345678                                   // CTA_ID
`)

const listed: Reply = { type: 0x100, flags: 2, seq: 1, data: entry }

t.test('an entry has both directions', async t => {
  const { nl } = fakeSocket(() => [listed])
  const [found] = conntrackList(nl, { family: 4, protocol: 17, dstPorts: [53] })
  const say = (tuple: NonNullable<typeof found>['original'] | undefined) =>
    tuple && [
      tuple.src && formatAddr(tuple.src),
      tuple.srcPort,
      tuple.dst && formatAddr(tuple.dst),
      tuple.dstPort,
    ]
  t.same(say(found?.original), ['192.0.2.9', 4000, '192.0.2.1', 53])
  t.same(say(found?.reply), ['10.1.2.3', 53, '192.0.2.9', 4000])
  t.equal(found?.original.protocol, 17)
})

t.test('one port is looked for by the kernel, several here', async t => {
  const { nl, asked } = fakeSocket(() => [listed])
  t.equal(conntrackList(nl, { family: 4, protocol: 17, dstPorts: [53] }).length, 1)
  t.equal(conntrackList(nl, { family: 4, protocol: 17, dstPorts: [54] }).length, 0)
  t.equal(conntrackList(nl, { family: 4, protocol: 6, dstPorts: [53] }).length, 0)
  t.equal(conntrackList(nl, { family: 4, protocol: 17, dstPorts: [54, 53] }).length, 1)
  t.equal(asked[0]?.type, 0x101, 'IPCTNL_MSG_CT_GET')
  t.match(asked[0]?.body, /^02000000.*060003000035/, 'AF_INET, the port in network byte order')
  t.match(asked[0]?.body, /0800010028000000/, 'compared: protocol number and destination port')
  t.notMatch(asked[3]?.body, /06000300/, 'no port')
  t.match(asked[3]?.body, /0800010008000000/, 'compared: protocol number')
})

t.test('a kernel that knows no filter is asked for all', async t => {
  const { nl, asked } = fakeSocket(({ body }) => {
    if (Buffer.concat([...body]).length > 4) throw netlinkError('list', 'EINVAL')
    return [listed]
  })
  t.equal(conntrackList(nl, { family: 4, protocol: 17, dstPorts: [53] }).length, 1)
  t.equal(asked[1]?.body, '02000000')
})

t.test('other refusals are failures', async t => {
  const { nl } = fakeSocket(() => {
    throw netlinkError('list', 'EPERM')
  })
  t.throws(() => conntrackList(nl, { family: 6, protocol: 17, dstPorts: [53] }), { code: 'EPERM' })
})

t.test('an entry is deleted by its own bytes and number', async t => {
  const { nl, asked } = fakeSocket(() => [listed])
  const [found] = conntrackList(nl, { family: 4, protocol: 17, dstPorts: [53] })
  if (!found) throw new Error('no entry')
  conntrackDelete(nl, found)
  t.equal(asked[1]?.type, 0x102, 'IPCTNL_MSG_CT_DELETE')
  t.match(asked[1]?.body, /^02000000.*c0000209.*c0000201.*08000c0012345678$/)
})

t.test('an entry that is gone is no failure', async t => {
  let refusal = 'ENOENT'
  const { nl } = fakeSocket(({ type }) => {
    if (type === 0x102) throw netlinkError('forget', refusal)
    return [listed]
  })
  const [found] = conntrackList(nl, { family: 4, protocol: 17, dstPorts: [53] })
  if (!found) throw new Error('no entry')
  conntrackDelete(nl, found)
  refusal = 'EPERM'
  t.throws(() => conntrackDelete(nl, found), { code: 'EPERM' })
})
