import t from 'tap'
import { parsePsched } from '../../../src/netlink/tc'

t.test('parsePsched() finds 15.625 ticks of 64 ns in a microsecond', async t => {
  t.equal(parsePsched('000003e8 00000040 000f4240 3b9aca00\n'), 15.625)
})

t.test('parsePsched() goes by each of the numbers', async t => {
  t.equal(parsePsched('000003e8 00000400 000f4240 3b9aca00\n'), 0.9765625, 'ticks of 1024 ns, before 2.6.31')
  t.equal(parsePsched('000003e8 00000040 001e8480 3b9aca00\n'), 31.25, 'a clock twice as fast')
})

t.test('parsePsched() answers nothing to anything else', async t => {
  for (const text of ['', 'psched', '000003e8', '000003e8 00000000 000f4240 0', '0 0 0 0']) {
    t.equal(parsePsched(text), undefined, JSON.stringify(text))
  }
})
