import { spawnSync } from 'node:child_process'
import t from 'tap'
import { commands } from '../../cli/commands'
import { formatManPage } from '../../cli/manual'
import { cli } from './fixtures/cli'

const page = formatManPage(commands)

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined

t.test('the page has every command with its options, and no hidden one', async t => {
  for (const { name, hidden, options } of commands) {
    t.equal(page.includes(`\n.SS ${name}\n`), !hidden, name)
    for (const option of hidden ? [] : options)
      t.ok(page.includes(option.name.replaceAll('-', '\\-')), `${name} ${option.name}`)
  }
})

t.test('"kubenet man" prints it', async t => {
  t.equal((await cli(['man'])).stdout, page)
})

t.test('no line is taken for a request of roff that is none', async t => {
  const requests = new Set(
    page
      .split('\n')
      .filter(line => /^[.']/.test(line))
      .map(line => line.split(' ')[0]),
  )
  t.same([...requests].sort(), ['.B', '.I', '.PP', '.SH', '.SS', '.TH', '.TP', '.fi', '.in', '.nf'])
})

t.test('groff formats it without a warning', { skip: !has('groff') && 'no groff' }, async t => {
  const { stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-rLL=100n', '-P-cbou'], {
    input: page,
    encoding: 'utf8',
  })
  t.equal(stderr, '')
  t.match(stdout, /kubenet add <network> <netns> \[options\]/)
})
