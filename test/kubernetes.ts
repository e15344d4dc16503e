/** scripts/kubernetes: its options, and what it refuses before it makes anything. Its stories need half an hour. */
import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const root = join(__dirname, '..')

const run = (program: string, args: readonly string[], cluster: string) => {
  const env = { ...process.env, KUBENET_CLUSTER: cluster, XDG_CACHE_HOME: `${cluster}-cache` }
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: '/', env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** Runs what the script calls once everything is installed. */
const kubernetes = (cluster: string, ...args: string[]) =>
  run(process.execPath, [join(root, 'dist-test/test/fixtures/kubernetes/main.js'), ...args], cluster)

/** It compiles the program too. */
const help = run(join(root, 'scripts/kubernetes'), ['--help'], '/nowhere/cluster')

t.test('--help names commands, options and stories', t => {
  const { status, stdout, stderr } = help
  t.same([status, stderr], [0, ''])
  for (const word of [
    'up',
    'demo',
    'test',
    'down',
    '--nodes N',
    '--kubernetes DIR',
    '--only STORY',
    '--keep',
  ])
    t.match(stdout, new RegExp(`^  ${word} `, 'm'))
  for (const story of ['matrix', 'nftables', 'limits', 'dual', 'static', 'containerd', 'plugins', 'power'])
    t.match(stdout, new RegExp(`^  ${story} `, 'm'))
  t.end()
})

t.test('what it does not understand', t => {
  const folder = join(t.testdir({}), 'cluster')
  const cases: readonly [readonly string[], string][] = [
    [[], 'say one of up, demo, test, down; --help tells more'],
    [['start'], 'say one of up, demo, test, down; --help tells more'],
    [['up', 'down'], 'say one of up, demo, test, down; --help tells more'],
    [['up', '--nodes', '1'], '--nodes 1: a number from 2 to 16'],
    [['up', '--nodes', '17'], '--nodes 17: a number from 2 to 16'],
    [['up', '--nodes', 'many'], '--nodes many: a number from 2 to 16'],
    [['test', '--only', 'matrix', '--only', 'nothing'], '--only nothing: there is no such story'],
  ]
  for (const [args, words] of cases)
    t.same(
      kubernetes(folder, ...args),
      { status: 2, stdout: '', stderr: `scripts/kubernetes: ${words}\n` },
      args.join(' '),
    )
  t.match(kubernetes(folder, 'up', '--dry-run'), { status: 2, stderr: /Unknown option '--dry-run'/ })
  t.end()
})

t.test('--kubernetes: a folder must have every program', t => {
  const folder = t.testdir({ cluster: {}, 'a-file': '', 'no-programs': { kubelet: '' }, ready: {} })
  const refusal = (name: string, command = 'up') => {
    const { status, stdout, stderr } = kubernetes(
      join(folder, 'cluster'),
      command,
      '--kubernetes',
      join(folder, name),
    )
    t.same([status, stdout], [2, ''])
    return stderr.replaceAll(`${folder}/`, '')
  }
  t.equal(refusal('nowhere'), 'scripts/kubernetes: nowhere is no folder\n')
  t.equal(refusal('a-file'), 'scripts/kubernetes: a-file is no folder\n')
  t.match(
    refusal('no-programs', 'test'),
    /^scripts\/kubernetes: no-programs has no program kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, kubectl/,
    'a file that cannot be executed is no program',
  )
  for (const name of [
    ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubelet'],
    ...['etcd', 'containerd', 'ctr', 'runc'],
  ]) {
    writeFileSync(join(folder, 'ready', name), '#!/bin/sh\necho I am no Kubernetes\n')
    chmodSync(join(folder, 'ready', name), 0o755)
  }
  t.equal(refusal('ready', 'demo'), 'scripts/kubernetes: ready has no program kubectl\n')
  writeFileSync(join(folder, 'ready/kubectl'), '#!/bin/sh\n')
  chmodSync(join(folder, 'ready/kubectl'), 0o755)
  t.equal(
    refusal('ready'),
    'scripts/kubernetes: ready/kubelet --version says no version: I am no Kubernetes\n',
  )
  t.end()
})
