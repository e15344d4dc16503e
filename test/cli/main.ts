import t from 'tap'
import { commands } from '../../cli/commands'
import { cli } from './fixtures/cli'

/** Those that read their command line themselves: what follows "agent" is for another program. */
const own = commands.filter(({ passesOn }) => !passesOn)

t.test(
  'without a word it introduces itself on stderr, as every plugin does, and lists the commands',
  async t => {
    const { code, stdout, stderr } = await cli([])
    t.equal(code, 0)
    t.equal(stderr, 'CNI kubenet plugin test\n')
    for (const { name, hidden } of commands)
      t.equal(new RegExp(`^  ${name}  `, 'm').test(stdout), !hidden, name)
  },
)

t.test('a command line that is wrong is one line on stderr, exit code 2', async t => {
  const cases = new Map([
    ['confg', `kubenet: unknown command 'confg' (did you mean config?); see "kubenet --help"`],
    ['--nonsense', `kubenet: unknown option '--nonsense'; see "kubenet --help"`],
    ['config --mtu 3', `kubenet: config: unknown option '--mtu'; see "kubenet config --help"`],
    [
      'config --pod-cdir x',
      `kubenet: config: unknown option '--pod-cdir' (did you mean --pod-cidr?); see "kubenet config --help"`,
    ],
    [
      'config --pod-cidr',
      `kubenet: config: option '--pod-cidr <cidr[,...]>' argument missing; see "kubenet config --help"`,
    ],
    ['add', `kubenet: add: missing required argument 'network'; see "kubenet add --help"`],
    [
      'add a b c',
      `kubenet: add: too many arguments for 'add'. Expected 2 arguments but got 3; see "kubenet add --help"`,
    ],
    ['completion tcsh', `kubenet: completion: unknown shell "tcsh"; known are bash, fish, zsh`],
    ['help nothing', `kubenet: help: unknown command "nothing"; "kubenet help" lists them`],
  ])
  for (const [line, expected] of cases) {
    t.same(await cli(line.split(' ')), { code: 2, stdout: '', stderr: `${expected}\n` }, line)
  }
})

t.test('--help wins over everything that is wrong', async t => {
  for (const line of ['gc --help', 'gc a b c --help', 'gc --nonsense -h', '--json gc --help']) {
    const { code, stdout, stderr } = await cli(line.split(' '))
    t.same([code, stderr], [0, ''], line)
    t.match(stdout, /^kubenet gc: /, line)
  }
})

t.test('"help COMMAND" is what "COMMAND --help" is', async t => {
  for (const { name } of own) {
    t.equal((await cli(['help', name])).stdout, (await cli([name, '--help'])).stdout, name)
  }
})

t.test(
  'every help has a synopsis, the options and an example, in lines of at most 100 characters',
  async t => {
    for (const { name, options } of own) {
      const { stdout } = await cli([name, '--help'])
      t.match(stdout, `\nUsage\n  kubenet ${name} `, name)
      t.match(stdout, /\nExamples\n {2}# .*\n {2}.*kubenet/, name)
      for (const option of options) t.match(stdout, ` ${option.name}`, `${name} ${option.name}`)
      const [text = ''] = stdout.split('\nExamples\n')
      t.same(
        text.split('\n').filter(line => line.length > 100),
        [],
        name,
      )
    }
  },
)

t.test('words after -- are no options', async t => {
  t.match((await cli(['help', '--', '--help'])).stderr, /unknown command "--help"/)
})

t.test('--version is the command version', async t => {
  const programPath = `${t.testdir({ kubenet: '#!/usr/bin/env node' })}/kubenet`
  const { stdout } = await cli(['version'], { programPath })
  for (const word of ['--version', '-V']) t.equal((await cli([word], { programPath })).stdout, stdout, word)
  t.match(stdout, /^kubenet \S+ \(commit \S+\)\nkind +node, Node.js /)
})

t.test('--json prints a failure as an object too', async t => {
  const { code, stdout, stderr } = await cli(['config', '--json', '--pod-cidr', '10.0.0.0'])
  t.equal(code, 2)
  t.match(stderr, /^kubenet: config: --pod-cidr: [^\n]*\n$/)
  t.same(JSON.parse(stdout), {
    error: {
      exitCode: 2,
      message: '--pod-cidr: "10.0.0.0" is not a network: it needs a prefix length, as in 10.244.1.0/24',
      details: '',
      remedy: '',
    },
  })
})

t.test('every command has --json', async t => {
  for (const { name, options } of own)
    t.ok(
      options.some(option => option.name === '--json'),
      name,
    )
  const { commands: described } = JSON.parse((await cli(['help', '--json'])).stdout)
  t.ok(described.some(({ name }: { name: string }) => name === 'gc'))
})

t.test('no option of one name takes a value in one command and none in another', async t => {
  const kinds = new Map<string, string>()
  for (const { name, options } of commands) {
    for (const option of options) {
      const kind = option.kind === 'value' ? 'value' : 'none'
      t.equal(kinds.get(option.name) ?? kind, kind, `${name} ${option.name}`)
      kinds.set(option.name, kind)
    }
  }
})
