/** `kubenet` in the container of the agent: it cannot see the host there, and says so in place of saying false things. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { commands } from '../../../cli/commands'
import { AgentProcess } from '../../fixtures/cluster/agent-process'
import { eventually } from '../../fixtures/cluster/eventually'
import { kubeconfigOf } from '../../fixtures/cluster/kubeconfig'
import { binDir, flavours } from '../../fixtures/cni'
import { basePath, collect } from '../../fixtures/collect'
import { PrivateHost } from '../../fixtures/private-host'

/** The words behind a command that does not work without: what they name is asked no sooner than where this is. */
const words: Record<string, readonly string[]> = {
  add: ['kubenet', '/run/netns/blue'],
  check: ['kubenet', '/run/netns/blue'],
  del: ['kubenet', '/run/netns/blue'],
  gc: ['kubenet'],
  why: ['blue'],
}

// The image has the standalone programs: a script's first process would be called like its interpreter.
for (const flavour of flavours.filter(flavour => flavour === 'standalone')) {
  t.test(`[${flavour}] the container of the agent`, async t => {
    const host = await PrivateHost.create(t)
    const config = kubeconfigOf({ server: 'https://192.0.2.1:6443' })
    await host.sh(`mkdir /run/net.d; cat >/run/kubeconfig <<'END'\n${config}\nEND`)
    const agent = new AgentProcess({
      // The agent is the first process, as in a container; the host's network is its own.
      enter: [...host.enter, 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc', '--'],
      program: `${binDir(flavour)}/kubenet-agent`,
      args: ['--kubeconfig=/run/kubeconfig', '--node-name=n1', '--listen=none', '--cni-conf-dir=/run/net.d'],
    })
    t.teardown(() => agent.stop('SIGKILL'))
    await agent.said('started')
    const childOf = (pid: number): number => {
      const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
      return Number(child)
    }
    const first = await eventually('the first process', () => childOf(agent.pid) || undefined)
    const kubenet = (...args: string[]) =>
      collect(['nsenter', '-t', `${first}`, '-p', '-m', '-n', '--', `${binDir(flavour)}/kubenet`, ...args], {
        env: { PATH: basePath, CNI_PATH: binDir(flavour), NETCONFPATH: '/run/net.d' },
      })

    const works = [
      'agent',
      'completion',
      'config',
      'explain',
      'help',
      'install',
      'man',
      'networks',
      'trace',
      'version',
    ]
    for (const { name } of commands.filter(({ name }) => !works.includes(name)))
      t.same(
        await kubenet(name, ...(words[name] ?? [])),
        {
          code: 4,
          stdout: '',
          stderr:
            `kubenet: ${name}: unknown: this is the container of kubenet-agent, which does not see the host's processes, ` +
            `mounts and programs; run it on the node: /opt/cni/bin/kubenet ${name}; or from the cluster: ` +
            `kubectl kubenet --node NAME ${name}\n`,
        },
        name,
      )
    for (const line of [['version'], ['help'], ['config', '--pod-cidr', '10.244.1.0/24']])
      t.equal((await kubenet(...line)).code, 0, line.join(' '))
    t.equal(
      (await host.exec([`${binDir(flavour)}/kubenet`, 'status'])).code === 4,
      false,
      'the host is no container',
    )
  })
}
