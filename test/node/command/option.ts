import t from 'tap'
import * as o from '../../../node/command/option'

const number = (text: string): number => {
  if (/^\d+$/.test(text)) return Number(text)
  throw new Error(`${text} is no number`)
}

t.test('optionName() makes words of capitals', async t => {
  t.equal(o.optionName('cniBinDir'), 'cni-bin-dir')
  t.equal(o.optionName('yes'), 'yes')
})

t.test('flags, switches and denials read whether they are given', async t => {
  t.same([o.flag('').read([], ''), o.flag('').read(['true'], '')], [false, true])
  t.same([o.denial('').read([], ''), o.denial('').read(['false'], '')], [true, false])
  const given: [string[], boolean | undefined][] = [
    [[], undefined],
    [['true'], true],
    [['false'], false],
  ]
  for (const [texts, read] of given) t.equal(o.toggle('').read(texts, ''), read)
})

t.test('of a value that is given twice the last one counts', async t => {
  t.equal(o.value('n', '', number).read(['1', '2'], '--n'), 2)
  t.equal(o.value('n', '', number).read([], '--n'), undefined)
  t.throws(() => o.value('n', '', number).read(['x'], '--n'), { message: '--n: x is no number', exitCode: 2 })
})

t.test('a default is read like a value', async t => {
  const option = o.withDefault(o.value('n', '', number), '7')
  t.equal(option.read([], '--n'), 7)
  t.equal(option.read(['8'], '--n'), 8)
  t.equal(option.defaultText, '7')
})

t.test('a choice names the words there are', async t => {
  const option = o.choice('colour', '', ['red', 'green'])
  t.equal(option.read(['red'], '--colour'), 'red')
  t.throws(() => option.read(['blue'], '--colour'), { message: '--colour: "blue" is none of red, green' })
})

t.test('a list takes commas, repetition and blanks', async t => {
  t.same(o.list('n', '', number).read(['1, 2', '3', ''], '--n'), [1, 2, 3])
  t.same(o.list('n', '', number).read([], '--n'), [])
})
