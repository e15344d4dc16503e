import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import t, { type Test } from 'tap'
import { commands } from '../../../cli/commands'
import { formatBashCompletion } from '../../../cli/completion/bash'
import { formatFishCompletion } from '../../../cli/completion/fish'
import { formatZshCompletion } from '../../../cli/completion/zsh'
import { cli } from '../fixtures/cli'

const shown = commands.filter(({ hidden }) => !hidden)

const scripts = new Map([
  ['bash', formatBashCompletion(shown)],
  ['fish', formatFishCompletion(shown)],
  ['zsh', formatZshCompletion(shown)],
])

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0

/** A folder with the scripts, a program that knows two networks, and folders to complete. */
const setup = (t: Test) => {
  const kubenet = '#!/bin/sh\n[ "$1 $2" = "networks --names" ] && printf "pods\\nstorage\\n"\n'
  const folder = t.testdir({
    bin: { kubenet },
    folders: { one: {}, two: {} },
    scripts: Object.fromEntries(scripts),
  })
  chmodSync(`${folder}/bin/kubenet`, 0o755)
  const env = { PATH: `${folder}/bin:${process.env.PATH}`, HOME: folder, TERM: 'xterm' }
  const run = (argv: readonly [string, ...string[]], input?: string) =>
    spawnSync(argv[0], argv.slice(1), { encoding: 'utf8', env, cwd: `${folder}/folders`, input })
  return { folder: `${folder}/scripts`, run }
}

for (const [shell, script] of scripts) {
  t.test(`the ${shell} completion knows every command, every option and no hidden command`, async t => {
    for (const { name, options } of shown) {
      t.match(script, name)
      for (const option of options) t.match(script, option.name.replace(/^--/, ''), `${name} ${option.name}`)
    }
    t.notMatch(script, /\bman\b/)
    t.equal((await cli(['completion', shell])).stdout, script)
  })

  t.test(`${shell} reads its completion`, { skip: !has(shell) && `no ${shell}` }, async t => {
    const { folder, run } = setup(t)
    const { stderr, status } = run([shell, '-n', `${folder}/${shell}`])
    t.same([status, stderr], [0, ''])
  })
}

const world = (t: Test, shell: string) => (has(shell) ? setup(t) : undefined)

t.test('bash completes commands, options, choices, networks and folders', async t => {
  const { folder, run } = world(t, 'bash') ?? {}
  if (!run) return t.comment('no bash')
  const complete = (line: string): string[] => {
    const words = line.split(' ')
    const command = `source "${folder}/bash"
      COMP_WORDS=(${words.map(word => `'${word}'`).join(' ')})
      COMP_CWORD=${words.length - 1}
      _kubenet
      printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr } = run(['bash', '--norc', '-c', command])
    t.equal(stderr, '', line)
    return stdout.split('\n').filter(Boolean)
  }
  const cases: [string, string[]][] = [
    ['kubenet in', ['install', 'init', 'inspect']],
    ['kubenet help st', ['status']],
    ['kubenet --v', ['--version']],
    ['kubenet init --d', ['--dry-run']],
    ['kubenet gc --no', ['--no-dry-run']],
    ['kubenet add ', ['pods', 'storage']],
    ['kubenet add -i net1 s', ['storage']],
    ['kubenet status ', ['pods', 'storage']],
    ['kubenet config --hairpin-mode h', ['hairpin-veth']],
    ['kubenet config --hairpin-mode = pro', ['promiscuous-bridge']],
    ['kubenet config --network-plugin ', ['cni', 'kubenet', 'noop']],
    ['kubenet install --bin-dir t', ['two']],
    ['kubenet completion ', ['bash', 'fish', 'zsh']],
    ['kubenet add pods o', ['one']],
    ['kubenet init ', []],
  ]
  for (const [line, expected] of cases) t.same(complete(line), expected, line)
})

t.test('fish completes commands, options and networks', async t => {
  const { folder, run } = world(t, 'fish') ?? {}
  if (!run) return t.comment('no fish')
  const complete = (line: string): string[] => {
    const { stdout } = run([
      'fish',
      '--no-config',
      '-c',
      `source "${folder}/fish"; complete -C ${JSON.stringify(line)}`,
    ])
    return stdout.split('\n').flatMap(word => word.split('\t')[0] || [])
  }
  const cases: [string, string[]][] = [
    ['kubenet in', ['init', 'inspect', 'install']],
    ['kubenet init --dr', ['--dry-run']],
    ['kubenet gc p', ['pods']],
    ['kubenet config --hairpin-mode h', ['hairpin-veth']],
  ]
  for (const [line, expected] of cases) t.same(complete(line).sort(), expected, line)
})

t.test('zsh completes commands, options and networks', async t => {
  const { folder, run } = world(t, 'zsh') ?? {}
  if (!run) return t.comment('no zsh')
  // The completion of zsh lives in its line editor, so that a terminal must be played. BEGIN and END mark the line.
  const complete = (line: string): string => {
    const driver = `zmodload zsh/zpty
      zpty z 'PS1= zsh -f -i'
      zpty -w z 'autoload -U compinit; compinit -D -u; source "${folder}/zsh"'
      zpty -w z 'show() { print -r -- "BEGIN$BUFFER"END }; zle -N show; bindkey "^I" complete-word; bindkey "^X" show'
      zpty -w z 'print READY'
      zpty -r -m z out '*READY*READY*'
      zpty -w -n z ${JSON.stringify(line)}$'\\t\\x18'
      zpty -r -m z out '*BEGIN*END*'
      print -r -- $out`
    return /BEGIN(.*?)END/s.exec(run(['zsh', '-f', '-c', driver]).stdout)?.[1] ?? ''
  }
  t.equal(complete('kubenet vers'), 'kubenet version ')
  t.equal(complete('kubenet add po'), 'kubenet add pods ')
  t.equal(complete('kubenet config --hairpin-mode=ha'), 'kubenet config --hairpin-mode=hairpin-veth ')
})
