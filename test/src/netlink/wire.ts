import t from 'tap'
import { extendedAck } from '../../../src/netlink/error'
import { exceptNoArp, ifInfoMsg, readLink } from '../../../src/netlink/wire/link'
import {
  holding,
  messageBody,
  putU32,
  readAttributes,
  readMessages,
  readNumber,
  readText,
} from '../../../src/netlink/wire/message'

const hex = (...parts: string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')

t.test(
  'messageBody() aligns each attribute to four bytes and counts a nest’s length over all of it',
  async t => {
    const body = messageBody(Buffer.from('01', 'hex'), [
      [3, Buffer.from('lo\0')],
      [99, undefined],
      [
        18,
        [
          [1, Buffer.from('veth')],
          [2, [[1, putU32(7)]]],
        ],
      ],
    ])
    t.same(
      Buffer.concat(body),
      hex(
        '01 000000', // the header, padded
        '0700 0300 6c6f00 00', // length 7, type 3, "lo\0", padding
        '1800 1200', // length 24, type 18
        '0800 0100 76657468', // length 8, type 1, "veth"
        '0c00 0200', // length 12, type 2
        '0800 0100 07000000', // length 8, type 1, 7
      ),
    )
  },
)

t.test('readAttributes() reads what messageBody() wrote, and refuses a length that cannot be', async t => {
  const attributes = readAttributes(hex('0700 0300 6c6f00 00', '0800 0400 dc050000'))
  t.equal(readText(attributes.get(3)), 'lo')
  t.equal(readNumber(attributes.get(4)), 1500)
  t.equal(readNumber(attributes.get(9)), undefined)
  const refused = (bytes: string, message: string) => t.throws(() => readAttributes(hex(bytes)), { message })
  refused('2000 0300 6c6f', 'an attribute of 32 bytes where there are 6')
  refused('0300 0300', 'an attribute of 3 bytes where there are 4')
  refused('08', 'an attribute of 8 bytes where there are 1')
})

t.test('readAttributes() takes the flags off the type, and of two with one type the last', async t => {
  const attributes = readAttributes(hex('0500 1280 01 000000', '0500 12c0 02 000000'))
  t.same(attributes.get(18), hex('02'))
})

t.test('ifInfoMsg() is struct ifinfomsg', async t => {
  t.same(
    ifInfoMsg({ family: 7, index: 5, flags: 1, change: 1 }),
    hex('07 00 0000', '05000000', '01000000', '01000000'),
  )
})

t.test('readLink() understands a bridge port as the kernel describes it', async t => {
  const link = readLink(
    hex(
      '00 00 0100', // AF_UNSPEC, ARPHRD_ETHER
      '05000000', // index 5
      '43100100', // IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP
      '00000000',
      '0a00 0300 766574683100 0000', // IFLA_IFNAME "veth1"
      '0800 0400 dc050000', // IFLA_MTU 1500
      '0500 1000 06 000000', // IFLA_OPERSTATE IF_OPER_UP
      '0a00 0100 0a580a010203 0000', // IFLA_ADDRESS
      '0800 0a00 04000000', // IFLA_MASTER 4
      '0800 0500 02000000', // IFLA_LINK 2
      '2800 1200', // IFLA_LINKINFO
      '0900 0100 7665746800 000000', // IFLA_INFO_KIND "veth"
      '0b00 0400 62726964676500 00', // IFLA_INFO_SLAVE_KIND "bridge"
      '0c00 0500', // IFLA_INFO_SLAVE_DATA
      '0500 0400 01 000000', // IFLA_BRPORT_MODE 1
    ),
  )
  t.match(link, {
    index: 5,
    name: 'veth1',
    kind: 'veth',
    mtu: 1500,
    mac: '0a:58:0a:01:02:03',
    master: 4,
    peer: 2,
    operState: 6,
    hairpin: true,
    isolated: false,
    alias: '',
  })
})

t.test('readLink() takes no number for an interface’s that a message could not ask for', async t => {
  const { index, master, peer } = readLink(
    hex(
      ...['00 00 0100', '05000080', '43100100', '00000000'], // index 0x80000005
      '0800 0a00 04000080', // IFLA_MASTER 0x80000004
      '0800 0500 ffffffff', // IFLA_LINK -1
    ),
  )
  t.same([index, master, peer], [5, 4, 0x7fffffff])
  t.same(ifInfoMsg({ index: peer }).subarray(4, 8), hex('ffffff7f'))
})

t.test('extendedAck() finds the kernel’s sentence with and without the request in front of it', async t => {
  const header = '28000000 1000 0500 01000000 00000000' // nlmsghdr of a request of 40 bytes
  const sentence = '1000 0100 4e6f20737563682064657600' // NLMSGERR_ATTR_MSG "No such dev"
  t.equal(extendedAck({ flags: 0x300, data: hex('edffffff', header, sentence) }), 'No such dev')
  const whole = hex('edffffff', header, '00'.repeat(24), sentence)
  t.equal(extendedAck({ flags: 0x200, data: whole }), 'No such dev')
  t.equal(extendedAck({ flags: 0, data: whole }), '')
  t.equal(extendedAck({ flags: 0x300, data: hex('edffffff', header, 'ff000100') }), '', 'a cut off attribute')
})

// nlmsghdr: length, type, flags, sequence number, port
const entry = (text: string, flags = '0200') => [
  hex('14000000', '060a', flags, '07000000', '00000000'),
  Buffer.from(text),
]
const done = hex('14000000', '0300', '0200', '07000000', '00000000', '00000000')
const textsIn = (datagram: Buffer, bytes?: string) =>
  readMessages(datagram, bytes === undefined ? undefined : holding(Buffer.from(bytes))).map(({ data }) =>
    data.toString(),
  )

t.test('readMessages() tells messages apart, each at a multiple of four', async t => {
  const odd = [hex('13000000', '060a', '0200', '07000000', '00000000'), Buffer.from('odd\0')]
  const datagram = Buffer.concat([...odd, ...entry('even'), done])
  t.same(textsIn(datagram), ['odd', 'even', '\0\0\0\0'])
  t.match(readMessages(datagram)[1], { type: 0xa06, flags: 2, seq: 7 })
  t.same(readMessages(Buffer.alloc(0)), [])
})

t.test('readMessages() leaves out entries without the bytes, but nothing that is about the list', async t => {
  const list = Buffer.concat([...entry('c1 a'), ...entry('c2 a'), ...entry('c1 b'), done])
  t.same(textsIn(list, 'c1'), ['c1 a', 'c1 b', '\0\0\0\0'])
  t.same(textsIn(list, 'c3'), ['\0\0\0\0'])
  const interrupted = Buffer.concat([...entry('c2 a', '1200'), ...entry('c2 b'), done])
  t.same(textsIn(interrupted, 'c1'), ['c2 a', '\0\0\0\0'], 'NLM_F_DUMP_INTR')
  t.same(textsIn(Buffer.concat(entry('c2 a', '0000')), 'c1'), ['c2 a'], 'a single answer')
})

t.test('exceptNoArp() leaves out interfaces without ARP whose names begin so', async t => {
  const link = (name: string, flags: number) => {
    const body = messageBody(ifInfoMsg({ index: 7, flags }), [
      [3, Buffer.from(`${name}\0`)],
      [4, putU32(1500)],
    ])
    const length = Buffer.concat(body).length + 16
    return [hex(`${length.toString(16)}000000`, '1000', '0200', '07000000', '00000000'), ...body]
  }
  const names = ['bwp0123456789ab', 'bw', 'eth0', 'bwpx']
  const listed = (flags: number) =>
    readMessages(Buffer.concat(names.flatMap(name => link(name, flags))), exceptNoArp('bwp')).map(
      ({ data }) => readLink(data).name,
    )
  t.same(listed(0xc3), ['bw', 'eth0'], 'NOARP')
  t.same(listed(0x1043), names, 'with ARP')
  const bare = [hex('20000000', '1000', '0200', '07000000', '00000000'), ifInfoMsg({ flags: 0x80 })]
  t.equal(readMessages(Buffer.concat(bare), exceptNoArp('bwp')).length, 1, 'without a name')
})

t.test('readMessages() throws where a message is cut off', async t => {
  const [header = Buffer.alloc(0), body = Buffer.alloc(0)] = entry('c1 a')
  for (const datagram of [
    header.subarray(0, 12),
    header,
    Buffer.concat([header, body.subarray(0, 3)]),
    Buffer.alloc(16),
  ])
    t.throws(() => readMessages(datagram), Error)
})
