/** CNI_TRACE=1: where the time of a call goes, on standard error. */
import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods } from '../fixtures/bridge'
import { flavours } from '../fixtures/cni'

const conf = bridgeConf('v4', { isGateway: true, ipMasq: true })
const env = { CNI_TRACE: '1' }

/** The steps of a trace in order, each with the parts that stand below it, without their times. */
const stepsOf = (trace: string): Map<string, string[]> => {
  const steps = new Map<string, string[]>()
  for (const line of trace.trimEnd().split('\n')) {
    const [, indent = '', text = ''] = /^ +\d+\.\d{3} ms( {2}| {6})(\S.*)$/.exec(line) ?? []
    if (indent === '') throw new Error(`no line of a trace: ${line}`)
    if (indent.length === 2) steps.set(text, [])
    else [...steps.values()].at(-1)?.push(text)
  }
  return steps
}

for (const flavour of flavours) {
  t.test(`[${flavour}] CNI_TRACE=1`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const first = await pod('c1')
    t.equal((await first.call('ADD', conf)).stderr, '', 'nothing is printed unasked')
    const second = await pod('c2')
    const add = await second.call('ADD', conf, { env })
    const veth = hostVethOf(add.json)

    await t.test('ADD: every step with what it waited for', async t => {
      const steps = stepsOf(add.stderr)
      t.same(
        [...steps.keys()],
        [
          'start',
          'stdin',
          'parse',
          'netns',
          'config',
          'sockets',
          'bridge',
          'veth',
          'host-local ADD',
          'ipam',
        ].concat(['container', 'masquerade', 'port', 'gateway', 'bridge ADD', 'output']),
      )
      t.same(steps.get('host-local ADD'), [
        'netlink  list the addresses',
        'lock  /var/lib/cni/networks/net/lock',
        'lease  10.1.2.3',
        'disk  /var/lib/cni/networks/net',
      ])
      t.equal(steps.get('veth')?.[0], `netlink  create the veth pair "${veth}" and "eth0"`)
      t.same(steps.get('masquerade'), ['program  /usr/sbin/iptables-restore --noflush --verbose --wait=5'])
    })

    await t.test('a call that fails ends with the parts of the step it failed in', async t => {
      const { code, stderr } = await second.call('ADD', conf, { env, ifName: 'lo' })
      t.equal(code, 1)
      t.match(stderr, /ms {2}bridge\n.*\n.*ms {6}netlink {2}create the veth pair "veth\w+" and "lo"\n.*\n$/)
    })

    await t.test(
      "the caller's W3C trace is in the log of the call, and of the IPAM plugin that it calls",
      async t => {
        const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
        const script = `#!/bin/sh\nprintf %s "$TRACEPARENT" > /run/handed\necho '{"code":11,"msg":"busy"}'; exit 1\n`
        await host.sh(
          `mkdir -p /run/ipam; printf '${script.replaceAll('\n', '\\n').replaceAll("'", `'"'"'`).replaceAll('%', '%%')}' > /run/ipam/other; chmod 755 /run/ipam/other`,
        )
        const third = await pod('c3')
        const logged = { ...conf, ipam: { type: 'other' }, logFile: '/run/calls.log' }
        const { code } = await third.call('ADD', logged, {
          env: { TRACEPARENT: trace, CNI_PATH: '/run/ipam' },
        })
        t.equal(code, 1)
        t.match(JSON.parse(await host.sh('cat /run/calls.log')), { command: 'ADD', traceparent: trace })
        t.equal(await host.sh('cat /run/handed'), trace)
      },
    )

    await t.test('DEL', async t => {
      const del = await second.call('DEL', conf, { env })
      t.same([del.code, del.stdout], [0, ''])
      const steps = stepsOf(del.stderr)
      t.same(
        [...steps.keys()],
        ['start', 'stdin', 'parse', 'netns', 'link', 'masquerade', 'host-local DEL', 'ipam', 'bridge DEL'],
      )
      t.ok(steps.get('link')?.includes('netlink  delete "eth0"'))
    })

    await t.test('nftables: the rules are messages too', async t => {
      const add = await second.call('ADD', { ...conf, ipMasqBackend: 'nftables' }, { env })
      t.match(stepsOf(add.stderr).get('masquerade')?.join('\n'), /^netlink {2}/)
    })
  })
}
