import t from 'tap'
import { missingPart, needing } from '../../../plugins/bandwidth/shaper'
import { netlinkError } from '../../../src/netlink/error'

const refuse = (code: string, extendedAck: string) => () => {
  throw netlinkError('create ifb "bwp1"', code, extendedAck)
}

t.test('an unknown kind is reported by the missing module', async t => {
  t.throws(() => needing(['ifb'], refuse('EOPNOTSUPP', 'Unknown device type')), {
    code: 50,
    message: 'bandwidth: the kernel has no ifb',
    details:
      'load it with "modprobe ifb"; if there is no such module, install the distribution\'s package of extra kernel ' +
      'modules, or a kernel built with CONFIG_IFB; create ifb "bwp1": EOPNOTSUPP: Unknown device type; operation not supported',
  })
  t.throws(() => needing(['sch_tbf'], refuse('ENOENT', 'Specified qdisc kind is unknown')), {
    code: 50,
    message: 'bandwidth: the kernel has no sch_tbf',
    details: /modprobe sch_tbf.*CONFIG_NET_SCH_TBF/,
  })
})

t.test('of a filter and its action, the one the kernel names', async t => {
  const message = (extendedAck: string) => {
    try {
      needing(['cls_u32', 'act_mirred'], refuse('ENOENT', extendedAck))
    } catch (error) {
      return error instanceof Error ? error.message : ''
    }
    return ''
  }
  t.equal(message('TC classifier not found'), 'bandwidth: the kernel has no cls_u32')
  t.equal(message('Failed to load TC action module'), 'bandwidth: the kernel has no act_mirred')
})

t.test('any other refusal, and any other error, is passed on as it is', async t => {
  t.throws(() => needing(['ifb'], refuse('EEXIST', '')), { code: 'EEXIST' })
  t.throws(
    () =>
      needing(['ifb'], () => {
        throw new TypeError('x')
      }),
    TypeError,
  )
  t.equal(
    needing(['ifb'], () => 7),
    7,
  )
})

t.test('STATUS says the same without a refusal', async t => {
  t.match(missingPart('act_mirred'), {
    code: 50,
    message: 'bandwidth: the kernel has no act_mirred',
    details: /^load it with "modprobe act_mirred".*CONFIG_NET_ACT_MIRRED$/,
  })
})
