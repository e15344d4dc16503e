import t from 'tap'
import { iptablesVerdicts } from '../../../node/packets/iptables-verdict'

const judged = (policy: string, ...rules: string[]) =>
  iptablesVerdicts(
    {
      variant: 'nf_tables',
      family: 4,
      tables: new Map([
        [
          'filter',
          {
            policies: new Map([
              ['FORWARD', policy],
              ['POD', '-'],
            ]),
            rules,
          },
        ],
      ]),
      unlisted: [],
    },
    {
      hook: 'forward',
      family: 4,
      protocol: 'tcp',
      in: 'cbr0',
      out: 'eth0',
      src: '10.1.0.2',
      dst: '203.0.113.1',
      ctstate: 'NEW',
      mark: { isZero: true },
    },
  ).map(({ verdict, by }) => [verdict, by])

const unmarked = '-A FORWARD -m mark ! --mark 0x10000/0x10000 -j REJECT --reject-with icmp-port-unreachable'

t.test('a packet has no mark until a rule sets it', async t => {
  t.same(judged('ACCEPT', unmarked), [['drop', unmarked]])
  t.same(
    judged('ACCEPT', '-A FORWARD -o cbr0 -j MARK --set-xmark 0x10000/0x10000', unmarked),
    [['drop', unmarked]],
    'of other packets',
  )
})

t.test('nothing is known of a mark that a rule may have set', async t => {
  for (const target of ['MARK --set-xmark 0x10000/0x10000', 'CONNMARK --restore-mark'])
    t.same(
      judged('ACCEPT', '-A FORWARD -j POD', `-A POD -m set --match-set pods src -j ${target}`, unmarked),
      [['accept', '-P FORWARD ACCEPT']],
      target,
    )
})

t.test("nothing is known of a connection's mark", async t => {
  const rule = '-A FORWARD -m connmark --mark 0x1 -j ACCEPT'
  t.same(judged('DROP', rule), [['maybe', rule]])
})

t.test('a program that packets are queued for may accept them', async t => {
  const rule = '-A FORWARD -j NFQUEUE --queue-num 1'
  t.same(judged('DROP', rule), [['maybe', rule]])
})
