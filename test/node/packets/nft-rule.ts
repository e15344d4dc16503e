import t from 'tap'
import { judgeRule } from '../../../node/packets/nft-rule'
import type { Packet } from '../../../node/packets/packet'
import { type Expression, putExpressions, readExpressions } from '../../../src/netfilter/nft/wire/expression'
import {
  cmp,
  fib,
  metaLoad,
  metaSet,
  NFT_CMP_EQ,
  NFT_FIB_RESULT_ADDRTYPE,
  NFT_META_IIFNAME,
  NFT_META_MARK,
  NFTA_FIB_F_DADDR,
} from '../../../src/netfilter/nft/wire/match'
import { immediate, immediateVerdict, NF_DROP } from '../../../src/netfilter/nft/wire/statement'
import { nftBody } from '../../../src/netlink/wire/message'

const packet = (): Packet => ({
  hook: 'forward',
  family: 4,
  protocol: 'tcp',
  in: 'cbr0',
  out: 'eth0',
  src: '10.1.0.2',
  dst: '203.0.113.1',
  ctstate: 'NEW',
  mark: { isZero: true },
})

const judge = (steps: readonly Expression[], of = packet()) =>
  judgeRule(readExpressions(nftBody(Buffer.alloc(0), putExpressions(steps))), of, {
    entriesOf: () => [],
    indexOf: () => undefined,
  })

const drop = immediateVerdict(NF_DROP)
const one = Buffer.from([1, 0, 0, 0])
const isMarked = [metaLoad(NFT_META_MARK, 1), cmp(1, NFT_CMP_EQ, one), drop]

t.test(
  'a rule that sets the mark matches as if it did not, and nothing is known of the mark from then on',
  async t => {
    const marked = packet()
    t.equal(judge(isMarked, marked).match, 'no')
    t.same(judge([immediate(1, one), metaSet(NFT_META_MARK, 1), drop], marked), {
      match: 'yes',
      action: { do: 'drop' },
    })
    t.equal(judge(isMarked, marked).match, 'maybe')
  },
)

t.test('nothing is known of a register behind a step that is not understood', async t => {
  const name = cmp(1, NFT_CMP_EQ, Buffer.from('cbr0'))
  const type = fib(NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, 1)
  t.equal(judge([metaLoad(NFT_META_IIFNAME, 1), name, type, cmp(1, NFT_CMP_EQ, one), drop]).match, 'maybe')
})

t.test('a program that packets are queued for may accept them', async t => {
  t.same(judge([{ name: 'queue', attributes: [] }]), { match: 'maybe', action: { do: 'accept' } })
})
