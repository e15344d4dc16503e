/** `kubenet-agent` and its node's configuration: what it writes, what it refuses, what it answers, how it ends. */
import { rmSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { AgentProcess } from '../../fixtures/cluster/agent-process'
import { KubernetesApi } from '../../fixtures/cluster/api-server'
import { eventually } from '../../fixtures/cluster/eventually'
import { LoneAgent } from '../../fixtures/cluster/lone-agent'
import { builtDir, flavours } from '../../fixtures/cni'

const node = { name: 'n1', addresses: ['192.0.2.1'] }
const [a, b, six] = ['10.244.1.0/24', '10.244.9.0/24', 'fd00:244:1::/64']

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet-agent`, async t => {
    await t.test('writes the configuration that the ranges of its node mean, once there are any', async t => {
      const it = await LoneAgent.start(t, {
        flavour,
        node,
        args: ['--cluster-cidr', '10.244.0.0/16,fd00:244::/48', '--hairpin-mode', 'hairpin-veth'],
      })
      it.api.nodes.put({ name: 'n2', podCIDRs: ['10.244.2.0/24'] })
      await it.agent.said('the network of this node', { state: 'waiting' })
      await it.watching()
      t.same(await it.ask('/readyz'), { status: 503, text: 'waiting: the node has no pod range yet\n' })
      t.equal((await it.ask('/healthz')).status, 200)
      t.equal(it.conflist(), undefined)
      it.api.nodes.put({ ...node, podCIDRs: [a, six] })
      await it.ranges(a, six)
      t.same(it.conflist(), {
        cniVersion: '1.0.0',
        name: 'kubenet',
        plugins: [
          {
            type: 'kubenet',
            podCIDRs: [a, six],
            nonMasqueradeCIDRs: ['10.244.0.0/16', 'fd00:244::/48'],
            hairpinMode: 'hairpin-veth',
            capabilities: { portMappings: true, bandwidth: true },
          },
        ],
      })
      t.equal(statSync(it.file).mode & 0o777, 0o600)
      t.same(await it.ask('/readyz'), { status: 200, text: 'ok\n' })
      t.equal(await it.metric('network_state{state="ready"}'), 1)
      t.equal(await it.metric('nodes'), 1, 'it hears of its own node only')
      t.equal(await it.metric('conflist_writes_total'), 1)
      t.equal((await it.ask('/nothing')).status, 404)
      t.same(it.api.requests, ['list 0', 'watch 1002'])
      for (const line of it.agent.log) t.match(line, { time: /^\d{4}-.*Z$/, level: /^(info|warn)$/ })
    })

    await t.test('a change that leaves pods behind is refused until they are gone', async t => {
      const it = await LoneAgent.start(t, {
        flavour,
        node: { ...node, podCIDRs: [a] },
        args: ['--resync-seconds', '1'],
      })
      await it.ranges(a)
      const lease = it.lease('10.244.1.7', 'pod-7')
      it.cached('10.244.1.7', 'pod-7', 'shop/web-0')
      await it.watching()
      it.api.nodes.put({ ...node, podCIDRs: [b] })
      const { reason } = await it.agent.said('the network of this node', { state: 'refused' })
      t.equal(
        reason,
        `the ranges change from ${a} to ${b}, which leaves 1 addresses of running pods behind ` +
          '(10.244.1.7 of pod-7 (pod shop/web-0)); drain the node, delete the pods of DaemonSets that still have old ' +
          'addresses, and run "kubenet gc kubenet --yes --all" for containers that ended, or use --allow-cidr-change',
      )
      // The file is written after the state is logged.
      const list = await eventually('the file', () => {
        const found = it.conflist()
        return found.plugins[0].noNewPods !== undefined && found
      })
      t.same(list.plugins[0].podCIDRs, [a])
      t.match(list.plugins[0].noNewPods, `the node's pod ranges change from ${a} to ${b}, and pods`)
      t.equal((await it.ask('/readyz')).status, 503)
      // Of a node whose network is unavailable Kubernetes' node controller says NoSchedule.
      const condition = await it.condition('True')
      t.match(condition, { type: 'NetworkUnavailable', reason: 'PodRangeRefused', message: reason })
      const [event] = await eventually('an event', () => it.api.events.length > 0 && it.api.events)
      t.match(event, {
        involvedObject: { kind: 'Node', name: 'n1' },
        type: 'Warning',
        reason: 'PodRangeRefused',
        message: reason,
      })
      rmSync(lease)
      rmSync(`${it.folder}/results`, { recursive: true })
      await it.ranges(b)
      t.notHas(it.conflist().plugins[0], { noNewPods: String })
      t.equal(await it.metric('conflist_writes_total'), 3, 'once to refuse new pods')
      t.match(await it.condition('False'), { reason: 'PodRangeAccepted' })
      await eventually('the end', () => it.api.events.length === 2)
      t.match(it.api.events[1], { type: 'Normal', reason: 'PodRangeAccepted' })
    })

    await t.test('SIGTERM ends it in order and leaves the configuration', async t => {
      const it = await LoneAgent.start(t, { flavour, node: { ...node, podCIDRs: [a] } })
      await it.ranges(a)
      await it.watching()
      t.equal(await it.agent.stop(), 0)
      t.same([it.agent.log.at(-1).msg, it.agent.stderr], ['stopped', ''])
      t.same(it.conflist().plugins[0].podCIDRs, [a])
      await eventually('the end of the watch', () => it.api.watchers === 0)
    })

    await t.test('a failure to start is one line', async t => {
      const rows: [string[], number, RegExp][] = [
        [['--node-name', 'n1'], 1, /^kubenet-agent: no cluster: name a kubeconfig with --kubeconfig or /],
        [['--node-name', 'N_1', '--kubeconfig', '/x'], 1, /^kubenet-agent: "N_1" is no valid node name; /],
        [['--listen', '10107'], 2, /^kubenet-agent: --listen: "10107" is no address and port/],
        [['--idle-seconds', '0'], 2, /^kubenet-agent: --idle-seconds: "0" is no number of seconds/],
        [['--pod-cidr', a], 2, /--pod-cidr/],
      ]
      for (const [args, code, message] of rows) {
        const agent = new AgentProcess({ program: `${builtDir(flavour)}/kubenet-agent`, args })
        t.equal(await agent.ended(), code, args.join(' '))
        t.match(agent.stderr, message)
      }
    })

    // From here on the kinds of program do not differ.
    if (flavour !== flavours[0]) return

    await t.test(
      'it names another file that makes the node ready, and a range too small for its pods',
      async t => {
        const it = await LoneAgent.start(t, { flavour, node: { ...node, maxPods: 110 } })
        const other = `${it.folder}/net.d/87-podman-bridge.conflist`
        const list = { cniVersion: '1.0.0', name: 'podman', plugins: [{ type: 'bridge' }] }
        writeFileSync(other, JSON.stringify(list))
        await it.watching()
        it.api.nodes.put({ ...node, maxPods: 110, podCIDRs: ['10.244.1.1/28'] })
        t.ok(
          await it.agent.said(
            `${other} makes the node ready before 10-kubenet.conflist is there, and its pods get network "podman"; remove it`,
          ),
        )
        it.api.nodes.put({ ...node, maxPods: 110, podCIDRs: ['10.244.1.0/28'] })
        t.ok(
          await it.agent.said(
            "pod range 10.244.1.0/28 has 13 addresses, and kubelet may run 110 pods: set kubelet's maxPods to 13, or " +
              "give nodes larger ranges (kube-controller-manager's --node-cidr-mask-size)",
          ),
        )
      },
    )

    await t.test('who may not write to the API keeps the network all the same, and says so once', async t => {
      const api = new KubernetesApi()
      api.isReadOnly = true
      const it = await LoneAgent.start(t, {
        flavour,
        api,
        node: { ...node, podCIDRs: [a] },
        args: ['--resync-seconds', '1', '--log-level', 'debug'],
      })
      await it.ranges(a)
      it.lease('10.244.1.7', 'pod-7')
      await it.watching()
      it.api.nodes.put({ ...node, podCIDRs: [b] })
      const msg = 'the state of the network could not be written to the API server'
      const { error } = await it.agent.said(msg)
      t.match(error, /^PATCH \/api\/v1\/nodes\/n1\/status: 403 Forbidden /)
      await it.agent.said(msg, { level: 'debug' })
      t.equal(it.agent.log.filter(line => line.msg === msg && line.level === 'warn').length, 1)
      t.same(it.conflist().plugins[0].podCIDRs, [a])
    })

    await t.test("the condition of a cloud's route controller is left alone", async t => {
      const conditions = [
        { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated', message: '' },
      ]
      const it = await LoneAgent.start(t, {
        flavour,
        node: { ...node, podCIDRs: [a], conditions },
        args: ['--resync-seconds', '1'],
      })
      await it.ranges(a)
      await it.watching()
      const { mtimeMs } = statSync(it.file)
      rmSync(it.file)
      await it.ranges(a)
      t.ok(statSync(it.file).mtimeMs > mtimeMs, 'it has looked again')
      t.match(it.api.nodes.condition('n1', 'NetworkUnavailable'), {
        status: 'True',
        reason: 'NoRouteCreated',
      })
      t.same(it.api.events, [])
    })

    await t.test('a change that leaves no pod behind is written', async t => {
      const it = await LoneAgent.start(t, { flavour, node: { ...node, podCIDRs: [a] } })
      await it.ranges(a)
      it.lease('10.244.1.7', 'inside-of-both')
      await it.watching()
      it.api.nodes.put({ ...node, podCIDRs: ['10.244.0.0/16', six] })
      t.ok(await it.ranges('10.244.0.0/16', six))
    })

    await t.test('--allow-cidr-change writes it all the same, and says how many it leaves', async t => {
      const it = await LoneAgent.start(t, {
        flavour,
        node: { ...node, podCIDRs: [a] },
        args: ['--allow-cidr-change'],
      })
      await it.ranges(a)
      it.lease('10.244.1.7', 'pod-7')
      await it.watching()
      it.api.nodes.put({ ...node, podCIDRs: [b] })
      await it.ranges(b)
      t.ok(await it.agent.said('network configuration written', { leftBehind: 1 }))
    })

    await t.test('ranges that cannot be are left alone and told', async t => {
      const it = await LoneAgent.start(t, { flavour, node: { ...node, podCIDRs: [a] } })
      await it.ranges(a)
      await it.watching()
      const rows: [string[], string][] = [
        [['10.244.1.1/24'], 'pod range "10.244.1.1/24" has host bits set'],
        [[a, b], `pod range "${b}" is a second one of IPv4`],
        [['10.244.1.0/31'], 'pod range 10.244.1.0/31 has no room for pods'],
        [['x'], 'pod range "x" is not a network'],
      ]
      for (const [podCIDRs, reason] of rows) {
        it.api.nodes.put({ ...node, podCIDRs })
        await it.agent.said('the network of this node', { state: 'invalid', reason })
      }
      t.same(it.conflist().plugins[0].podCIDRs, [a])
    })

    await t.test(
      'a node that is deleted keeps its configuration, and takes the new one that comes',
      async t => {
        const it = await LoneAgent.start(t, { flavour, node: { ...node, podCIDRs: [a] } })
        await it.ranges(a)
        await it.watching()
        it.api.nodes.remove('n1')
        await it.agent.said('the network of this node', { reason: 'the cluster has no such node' })
        t.same(it.conflist().plugins[0].podCIDRs, [a])
        it.api.nodes.put({ ...node, podCIDRs: [b] })
        await it.ranges(b)
      },
    )

    await t.test('changes of other programs to the file are undone', async t => {
      const it = await LoneAgent.start(t, {
        flavour,
        node: { ...node, podCIDRs: [a] },
        args: ['--resync-seconds', '1'],
      })
      await it.ranges(a)
      const inode = statSync(it.file).ino
      writeFileSync(it.file, '{"torn')
      await it.ranges(a)
      t.not(statSync(it.file).ino, inode, 'a new file took its place')
      rmSync(it.file)
      await it.ranges(a)
    })

    await t.test('--remove-on-exit takes the configuration along', async t => {
      const it = await LoneAgent.start(t, {
        flavour,
        node: { ...node, podCIDRs: [a] },
        args: ['--remove-on-exit'],
      })
      await it.ranges(a)
      t.equal(await it.agent.stop('SIGINT'), 0)
      t.equal(it.conflist(), undefined)
    })
  })
}
