/** deploy/: what a cluster runs the agent by, as far as it can be shown without a cluster and without Docker. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAll } from 'js-yaml'
import t from 'tap'
import { AgentProcess } from '../../fixtures/cluster/agent-process'
import { KubernetesApi } from '../../fixtures/cluster/api-server'
import { kubeconfigOf } from '../../fixtures/cluster/kubeconfig'
import { deployPath, manifestsOf, patchedBy, typeProblems } from '../../fixtures/cluster/manifests'
import { binDir, builtDir, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const root = join(__dirname, '../../..')
const kubenet = `${builtDir('standalone')}/kubenet`
const kubenetAgent = `${kubenet}-agent`
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const [daemonSet] = manifestsOf('base/daemonset.yaml')
const [account, role, binding] = manifestsOf('base/rbac.yaml')
const pod = daemonSet.spec.template.spec
const [agent] = pod.containers
const [init, install] = pod.initContainers

const mountOf = (container: Json, path: string): Json => {
  const mount = container.volumeMounts.find(({ mountPath }: Json) => mountPath === path)
  const volume = pod.volumes.find(({ name }: Json) => name === mount?.name)
  return { path: volume?.hostPath.path, readOnly: mount?.readOnly ?? false }
}

t.test('the objects are what Kubernetes takes', async t => {
  const misspelt = structuredClone(daemonSet)
  misspelt.spec.template.spec.hostnetwork = true
  // The last one shows that the others have been looked at.
  const problems = typeProblems([daemonSet, account, role, binding, misspelt], t.testdir({}))
  t.match(problems, [/'"hostnetwork"' does not exist in type 'V1PodSpec'/])
  t.equal(problems.length, 1)
})

t.test(
  'the service account may read nodes, write the condition of one and record events, and nothing else',
  async t => {
    t.same(role.rules, [
      { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch'] },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
      { apiGroups: [''], resources: ['events'], verbs: ['create'] },
    ])
    t.same(binding.roleRef, {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: role.metadata.name,
    })
    const { name, namespace } = account.metadata
    t.same(binding.subjects, [{ kind: 'ServiceAccount', name, namespace }])
    t.equal(pod.serviceAccountName, name)
    t.equal(daemonSet.metadata.namespace, namespace)
  },
)

t.test('the pods come before a node is ready, on the host network, with no needless privilege', async t => {
  t.equal(pod.hostNetwork, true)
  t.same(pod.tolerations, [{ operator: 'Exists' }])
  t.equal(pod.priorityClassName, 'system-node-critical')
  t.same([pod.hostPID, pod.hostIPC], [undefined, undefined])
  t.same(pod.securityContext, {
    seccompProfile: { type: 'RuntimeDefault' },
    seLinuxOptions: { type: 'spc_t', level: 's0' },
  })
  t.same(daemonSet.spec.selector.matchLabels, daemonSet.spec.template.metadata.labels)
  const context = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true }
  t.same(agent.securityContext, {
    ...context,
    capabilities: { drop: ['ALL'], add: ['DAC_OVERRIDE'] },
  })
  t.same(init.securityContext, {
    ...context,
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'SYS_MODULE'] },
  })
  t.same(install.securityContext, { ...context, capabilities: { drop: ['ALL'], add: ['DAC_OVERRIDE'] } })
})

t.test('paths, ports and options are those of the program', async t => {
  t.same(mountOf(agent, '/etc/cni/net.d'), { path: '/etc/cni/net.d', readOnly: false })
  t.same(mountOf(agent, '/var/lib/cni'), { path: '/var/lib/cni', readOnly: true })
  t.same(mountOf(install, '/host/opt/cni/bin'), { path: '/opt/cni/bin', readOnly: false })
  t.same(mountOf(init, '/host/proc/sys/net'), { path: '/proc/sys/net', readOnly: false })
  t.same(mountOf(init, '/run/kubenet-cni'), { path: '/run/kubenet-cni', readOnly: false })
  t.same(
    [init.command, init.args],
    [['/kubenet'], ['init', '--module-optional', '--sysctl-dir', '/host/proc/sys']],
  )
  t.same(install.args, ['install', '--bin-dir', '/host/opt/cni/bin'])
  t.same(agent.command, ['/kubenet-agent'])
  t.same(agent.args, ['--listen=127.0.0.1:10107'])
  t.same(install.command, ['/kubenet'])
  for (const [probe, path] of [
    ['livenessProbe', '/healthz'],
    ['readinessProbe', '/readyz'],
  ] as const) {
    t.same(agent[probe].httpGet, { host: '127.0.0.1', path, port: 10107 }, probe)
  }
  t.same(agent.env, [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }])
  const helpOf = (program: string, ...words: string[]) =>
    execFileSync(program, [...words, '--help'], { encoding: 'utf8' })
  const agentHelp = helpOf(kubenetAgent)
  for (const [args, text] of [
    [agent.args, agentHelp],
    [init.args.slice(1), helpOf(kubenet, 'init')],
    [install.args.slice(1), helpOf(kubenet, 'install')],
  ] as const) {
    for (const option of args.flatMap((word: string) => word.match(/^--[a-z-]+/) ?? []))
      t.match(text, `  ${option} `)
  }
  const help = agentHelp.replaceAll(/\s+/g, ' ')
  for (const text of [
    'default: NETCONFPATH, else /etc/cni/net.d',
    'default: /var/lib/cni/networks',
    'NODE_NAME',
  ]) {
    t.ok(help.includes(text), text)
  }
})

t.test('the kustomization names the files there are, and the image that the pods run', async t => {
  const [kustomization] = manifestsOf('base/kustomization.yaml')
  for (const file of kustomization.resources) t.ok(existsSync(deployPath(`base/${file}`)), file)
  t.same(kustomization.resources.toSorted(), ['daemonset.yaml', 'rbac.yaml'])
  t.same(kustomization.images, [{ name: 'kubenet-cni', newTag: version }])
  for (const { image } of [agent, init, install]) t.equal(image, `kubenet-cni:${version}`)
})

t.test('the template for containerd means what the agent would write', async t => {
  const template = readFileSync(deployPath('containerd-template.conflist'), 'utf8')
  const loop = '{{range $i, $range := .PodCIDRRanges}}{{if $i}}, {{end}}"{{$range}}"{{end}}'
  t.equal(template.split(loop).length, 2, 'there is one place for the ranges')
  for (const ranges of [['10.244.1.0/24'], ['10.244.1.0/24', 'fd00:244:1::/64']]) {
    const filled = JSON.parse(template.replace(loop, ranges.map(range => JSON.stringify(range)).join(', ')))
    const config = ['config', '--pod-cidr', ranges.join(',')]
    const written = JSON.parse(execFileSync(kubenet, config, { encoding: 'utf8' }))
    // The plugin's own defaults, which the template leaves to it.
    t.same(written.plugins[0].nonMasqueradeCIDRs, ['10.0.0.0/8', 'fc00::/7'].slice(0, ranges.length))
    delete written.plugins[0].nonMasqueradeCIDRs
    t.same(filled, written)
  }
})

t.test('the files in the image are enough for the program to run', async t => {
  const dockerfile = readFileSync(deployPath('Dockerfile'), 'utf8').replaceAll('\\\n', ' ')
  const steps = dockerfile.split('\n').filter(line => /^[A-Z]/.test(line))
  const words = (name: string) =>
    steps.filter(step => step.startsWith(`${name} `)).map(step => step.slice(name.length + 1))
  t.same(words('FROM'), ['debian:12-slim AS libc', 'scratch'])
  t.same(words('COPY'), [
    '--from=libc /root-fs/ /',
    'dist/standalone/kubenet dist/standalone/kubenet-agent /',
  ])
  t.same(words('ENTRYPOINT'), ['["/kubenet-agent"]'])
  t.same(words('CMD'), [])
  const host = await PrivateHost.create(t)
  const [run = ''] = words('RUN')
  // This machine's libraries stand in for those of the first stage.
  await host.sh(run.replaceAll('/root-fs', '/run/image'))
  // What every container has besides its image.
  await host.sh(`
    mkdir /run/image/proc /run/image/dev; mount -t proc proc /run/image/proc; mount --rbind /dev /run/image/dev
    for name in kubenet kubenet-agent; do
      touch /run/image/$name; mount --bind ${binDir('standalone')}/$name /run/image/$name
    done`)
  const { code, stdout, stderr } = await host.exec(
    ['/usr/sbin/chroot', '/run/image', '/kubenet', 'version'],
    {
      env: {},
    },
  )
  t.same([code, stderr], [0, ''])
  t.match(stdout, version)
  for (const words of [['/kubenet-agent'], ['/kubenet', 'agent']]) {
    const said = await host.exec(['/usr/sbin/chroot', '/run/image', ...words, '--version'], { env: {} })
    t.same([said.code, said.stderr], [0, ''], words.join(' '))
    t.match(said.stdout, `kubenet-agent ${version} `)
  }
  await host.sh('mkdir -p /run/image/host/opt/cni/bin')
  const installed = await host.exec(['/usr/sbin/chroot', '/run/image', '/kubenet', ...install.args], {
    env: {},
  })
  t.equal(installed.code, 0, installed.stderr)
  t.equal(
    await host.sh('ls /run/image/host/opt/cni/bin'),
    'bandwidth\nbridge\nhost-local\nkubenet\nloopback\nportmap\n',
  )
})

t.test("the first container sets the host's sysctls, with what it has", async t => {
  const host = await PrivateHost.create(t)
  const keys = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']
  const values = () => host.sh(`cd /proc/sys/net; cat ${keys.join(' ')}`)
  await host.sh(`cd /proc/sys/net; for key in ${keys.join(' ')}; do echo 0 > $key; done`)
  const run = (...args: string[]) => {
    const { add } = init.securityContext.capabilities
    const kept = add.map((name: string) => `,+${name.toLowerCase()}`).join('')
    const limits = ['--no-new-privs', `--inh-caps=-all${kept}`, `--bounding-set=-all${kept}`]
    return host.exec(['setpriv', ...limits, `${binDir('standalone')}/kubenet`, ...args])
  }
  await host.sh(`
    mkdir -p /run/host/proc/sys/net; mount --bind /proc/sys/net /run/host/proc/sys/net
    mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys`)
  const refused = await run('init')
  t.match([refused.code, refused.stderr], [1, /read-only file system/])
  const done = await run(...init.args.map((arg: string) => arg.replace(/^\/host/, '/run/host')))
  t.equal(done.code, 0, done.stderr)
  t.equal(await values(), '1\n1\n')
  const elsewhere = await host.sh(`
    echo 0 > /run/host/proc/sys/net/ipv4/ip_forward; mkdir -p /run/other/net/ipv4; echo 0 > /run/other/net/ipv4/ip_forward
    echo /run/other`)
  const lost = await run('init', '--sysctl-dir', elsewhere.trim())
  t.same([lost.code, lost.stdout], [1, ''])
  t.match(
    lost.stderr,
    /net\.ipv4\.ip_forward is 0 after it was set to 1; mount \/proc\/sys\/net of the host at/,
  )
})

const agentOf = (overlay: string): Json => patchedBy(overlay).spec.template.spec.containers[0]

const withRoutes = agentOf('node-routes')

t.test('the overlays for node routes add the routes, and what they take', async t => {
  for (const [overlay, ranges] of [
    ['node-routes', '10.244.0.0/16'],
    ['dual-stack', '10.244.0.0/16,fd00:244::/48'],
  ] as const) {
    const [kustomization] = manifestsOf(`overlays/${overlay}/kustomization.yaml`)
    t.equal(kustomization.patches[0].target.name, daemonSet.metadata.name)
    const { args, securityContext } = agentOf(overlay)
    t.same(args, ['--listen=127.0.0.1:10107', '--node-routes', `--cluster-cidr=${ranges}`])
    t.same(securityContext.capabilities, { drop: ['ALL'], add: ['DAC_OVERRIDE', 'NET_ADMIN'] })
  }
})

const overlays = readdirSync(deployPath('overlays'))

t.test('no kustomization is made of a folder that it lies in, which kustomize refuses', async t => {
  for (const folder of ['.', ...overlays.map(name => `overlays/${name}`)]) {
    const [{ resources, components = [] }] = manifestsOf(`${folder}/kustomization.yaml`)
    for (const used of [...resources, ...components]) {
      const from = join(folder, used)
      t.ok(existsSync(deployPath(`${from}/kustomization.yaml`)), from)
      t.notMatch(`${folder}/`, new RegExp(`^${from}/`), from)
    }
  }
})

const kustomize = (folder: string): Json[] =>
  loadAll(execFileSync('kubectl', ['kustomize', deployPath(folder)], { encoding: 'utf8' }))

// The first with the kustomize that these files are for is 1.21.
const kubectlMissing =
  spawnSync('kubectl', ['kustomize', deployPath('.')]).status === 0 ? false : 'no kubectl'

t.test('kubectl makes of each overlay what it says', { skip: kubectlMissing }, async t => {
  t.same(
    kustomize('.').map(({ kind }) => kind),
    ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'DaemonSet'],
  )
  const agentIn = (objects: Json[]) =>
    objects.find(({ kind }) => kind === 'DaemonSet').spec.template.spec.containers[0]
  for (const overlay of ['node-routes', 'dual-stack'])
    t.same(agentIn(kustomize(`overlays/${overlay}`)), agentOf(overlay), overlay)
  const monitored = kustomize('overlays/monitoring')
  t.same(agentIn(monitored).args, ['--listen=:10107'])
  t.same(monitored.map(({ kind }) => kind).slice(3), [
    'ConfigMap',
    'DaemonSet',
    'PodMonitor',
    'PrometheusRule',
  ])
  const { data } = monitored.find(({ kind }) => kind === 'ConfigMap')
  t.equal(JSON.parse(data['kubenet.json']).uid, 'kubenet')
})

for (const [title, { args, securityContext }] of [
  ['the DaemonSet', agent],
  ['the overlay with routes', withRoutes],
] as [string, Json][])
  t.test(`the capabilities of ${title} are enough`, async t => {
    const host = await PrivateHost.create(t)
    await host.sh(
      'ip link add eth0 type bridge; ip addr add 192.0.2.1/24 dev eth0; ip link set eth0 up; mkdir /run/net.d',
    )
    const api = new KubernetesApi({ on: host, port: 6443 })
    api.nodes.put({ name: 'n1', podCIDRs: ['10.244.1.0/24'], addresses: ['192.0.2.1'] })
    api.nodes.put({ name: 'n2', podCIDRs: ['10.244.2.0/24'], addresses: ['192.0.2.2'] })
    await api.up()
    t.teardown(() => api.down())
    const folder = t.testdir({})
    mkdirSync(`${folder}/net.d`)
    writeFileSync(`${folder}/kubeconfig`, kubeconfigOf({ server: api.url }))
    const kept = securityContext.capabilities.add.map((name: string) => `,+${name.toLowerCase()}`).join('')
    const started = new AgentProcess({
      enter: [
        ...host.enter,
        'setpriv',
        '--no-new-privs',
        `--inh-caps=-all${kept}`,
        `--bounding-set=-all${kept}`,
      ],
      program: kubenetAgent,
      env: { NODE_NAME: 'n1', NETCONFPATH: '/run/net.d', KUBECONFIG: `${folder}/kubeconfig` },
      args: [...args, '--log-level', 'debug'],
    })
    t.teardown(() => started.stop('SIGKILL'))
    await started.said('network configuration written')
    if (args.includes('--node-routes')) await started.said('route added', { dst: '10.244.2.0/24' })
    t.equal(await started.stop(), 0)
    const status = started.log.filter(({ level }) => level === 'error')
    t.same(status, [])
  })
