import t from 'tap'
import { formatTable } from '../../../cli/frame/table'
import { rendered, styleOf, visibleLength, wrap } from '../../../node/command/style'

const plain = styleOf({ isTerminal: false, columns: 80, env: {} })
const terminal = (columns: number, env: Record<string, string> = {}) =>
  styleOf({ isTerminal: true, columns, env })

t.test('columns are as wide as their widest cell, and no line ends in blanks', async t => {
  const table = formatTable(
    [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }, { title: 'NOTE' }],
    [
      ['a', '5', 'short'],
      ['longer', '12345', ''],
    ],
    plain,
  )
  t.equal(table, 'NAME     SIZE  NOTE\na           5  short\nlonger  12345\n')
})

t.test('colours do not count', async t => {
  const style = terminal(80)
  const table = formatTable(
    [{ title: 'A' }, { title: 'B' }],
    [
      [style.red('no'), 'x'],
      ['yes', 'y'],
    ],
    style,
  )
  const [, first = '', second = ''] = table.split('\n')
  t.equal(visibleLength(first), visibleLength(second))
  t.equal(rendered(first), '\u001b[31mno\u001b[39m   x')
})

t.test('on a terminal the last column goes on in further lines', async t => {
  const rows = [['name', 'one two three four five six seven eight']]
  const table = formatTable([{ title: 'A' }, { title: 'B' }], rows, terminal(32, { NO_COLOR: '1' }))
  t.equal(table, 'A     B\nname  one two three four five\n      six seven eight\n')
  t.equal(formatTable([{ title: 'A' }, { title: 'B' }], rows, plain).split('\n').length, 3)
})

t.test('there are colours on a terminal only, and never with NO_COLOR or on a dumb one', async t => {
  t.equal(rendered(terminal(80).bold('x')), '\u001b[1mx\u001b[22m')
  t.equal(rendered(terminal(80, { NO_COLOR: '' }).bold('x')), '\u001b[1mx\u001b[22m')
  for (const style of [plain, terminal(80, { NO_COLOR: '1' }), terminal(80, { TERM: 'dumb' })]) {
    t.equal(style.bold('x'), 'x')
  }
})

t.test('wrap() keeps words whole', async t => {
  t.equal(wrap('aa bb cc', 5), 'aa bb\ncc')
  t.equal(wrap('aaaaaaaaaa b', 5), 'aaaaaaaaaa\nb')
})

t.test(
  'a cell that would control the terminal is shown as text, in its column, and cannot bring colours of its own',
  async t => {
    const style = terminal(80)
    const rows = [
      [style.red('a\u001b[31m'), 'x'],
      ['two\nlines', 'y'],
    ]
    t.equal(
      rendered(formatTable([{ title: 'A' }, { title: 'B' }], rows, style)),
      '\u001b[1mA               B\u001b[22m\n\u001b[31ma\\u001b[31m\u001b[39m     x\ntwo\\u000alines  y\n',
    )
  },
)
