/** `kubectl kubenet`: the pod that it makes on each node. kubectl is a stand-in here, which records its arguments. */
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { deployPath, typeProblems } from '../../fixtures/cluster/manifests'

/** Takes pods from standard input; each ends at once, with exit code 1 on node "sick". */
const kubectl = `#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  'create -f -') cat > "$CALLS.pod"; cat "$CALLS.pod" >> "$CALLS.pods"; echo , >> "$CALLS.pods" ;;
  'get nodes'*) printf 'well\\nsick\\n' ;;
  *'-n default get pod web'*) printf well ;;
  *status.phase*) printf Succeeded ;;
  *logs*) echo "the node is healthy" ;;
  *exitCode*) grep -q '"nodeName": "sick"' "$CALLS.pod" && printf 1 || printf 0 ;;
esac
`

const run = (folder: string, ...args: string[]) => {
  writeFileSync(`${folder}/kubectl`, kubectl)
  chmodSync(`${folder}/kubectl`, 0o755)
  const env = { PATH: `${folder}:/usr/bin:/bin`, CALLS: `${folder}/calls` }
  const { status, stdout, stderr } = spawnSync(deployPath('kubectl-kubenet'), args, { env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

const podsIn = (folder: string) =>
  JSON.parse(`[${readFileSync(`${folder}/calls.pods`, 'utf8').replace(/,\s*$/, '')}]`)

t.test('one node: a pod in the host’s namespaces runs the node’s program, and is removed', async t => {
  const folder = t.testdir({})
  const { status, stdout } = run(folder, '--node', 'well', 'why', 'a "quoted" \\word')
  t.same([status, stdout], [0, 'the node is healthy\n'])
  const [pod] = podsIn(folder)
  t.same(typeProblems([pod], folder), [])
  t.equal(pod.spec.nodeName, 'well')
  t.same([pod.spec.hostPID, pod.spec.tolerations], [true, [{ operator: 'Exists' }]])
  t.same(pod.spec.containers[0].command.slice(-3), ['/opt/cni/bin/kubenet', 'why', 'a "quoted" \\word'])
  t.match(readFileSync(`${folder}/calls`, 'utf8'), new RegExp(`delete pod ${pod.metadata.name} `))
})

t.test('all nodes: each under its name, and the worst exit code', async t => {
  const folder = t.testdir({})
  const { status, stdout } = run(folder, '--all', 'doctor')
  t.equal(status, 1)
  t.equal(stdout, '== well\nthe node is healthy\n== sick\nthe node is healthy\n')
  t.equal(podsIn(folder).length, 2)
})

t.test('a pod’s name names the node', async t => {
  const folder = t.testdir({})
  t.equal(run(folder, 'why', 'default/web').status, 0)
  t.equal(podsIn(folder)[0].spec.nodeName, 'well')
})

t.test('without a node it asks for one, and does nothing', async t => {
  const folder = t.testdir({})
  const { status, stderr } = run(folder, 'doctor')
  t.equal(status, 1)
  t.match(stderr, /^kubectl kubenet: which node\? --node NAME, --all, or NAMESPACE\/POD as the argument\n$/)
})
