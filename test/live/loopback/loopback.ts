import t from 'tap'
import { binDir, flavours, plugin } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const conf = { cniVersion: '1.0.0', name: 'lo', type: 'loopback' }

for (const flavour of flavours) {
  t.test(`[${flavour}] loopback`, async t => {
    const host = await PrivateHost.create(t)
    const netns = await host.netns('pod')
    const loopback = plugin(host, binDir(flavour), 'loopback')
    const flags = async () => (await host.json('ip', '-n', 'pod', 'link', 'show', 'lo'))[0]?.flags as string[]

    await t.test('ADD sets lo up and answers its addresses', async t => {
      const { code, json, stdout } = await loopback('ADD', conf, { netns, ifName: 'lo' })
      t.equal(code, 0)
      t.match(stdout, /^\{.*\}\n?$/, 'on one line')
      t.same(json, {
        cniVersion: '1.0.0',
        interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: netns }],
        ips: [
          { interface: 0, address: '127.0.0.1/8' },
          { interface: 0, address: '::1/128' },
        ],
        dns: {},
      })
      t.ok((await flags()).includes('UP'))
    })

    await t.test('ADD in the words of 0.3.1, which CRI uses whatever the pod has', async t => {
      const { json } = await loopback('ADD', { ...conf, cniVersion: '0.3.1' }, { netns, ifName: 'lo' })
      t.same(json.ips, [
        { version: '4', interface: 0, address: '127.0.0.1/8' },
        { version: '6', interface: 0, address: '::1/128' },
      ])
    })

    await t.test('the interface name of the call is ignored', async t => {
      t.equal((await loopback('CHECK', conf, { netns, ifName: 'eth7' })).code, 0)
    })

    await t.test('a previous result is passed through', async t => {
      const prevResult = {
        cniVersion: '1.0.0',
        interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: netns }],
        ips: [{ interface: 0, address: '10.1.2.3/24', gateway: '10.1.2.1' }],
        routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }],
        dns: { nameservers: ['10.1.2.1'] },
      }
      const { json } = await loopback('ADD', { ...conf, prevResult }, { netns })
      t.same(json, prevResult)
    })

    await t.test('DEL sets lo down, CHECK then fails, and a second DEL succeeds', async t => {
      t.equal((await loopback('DEL', conf, { netns })).code, 0)
      t.notOk((await flags()).includes('UP'))
      const { code, json } = await loopback('CHECK', conf, { netns })
      t.equal(code, 1)
      t.match(json, { code: 999, msg: 'loopback interface is down' })
      t.equal((await loopback('DEL', conf, { netns })).code, 0)
    })

    await t.test(
      'DEL succeeds without a namespace, with one that is gone, and with a path to a plain file',
      async t => {
        for (const path of ['', '/run/netns/gone', '/run/netns/file']) {
          await host.sh('touch /run/netns/file')
          const { code, stdout } = await loopback('DEL', conf, { netns: path })
          t.same([code, stdout], [0, ''], JSON.stringify(path))
        }
      },
    )

    await t.test('the host’s own namespace is refused with code 8 and its lo stays up', async t => {
      for (const command of ['ADD', 'CHECK', 'DEL']) {
        const { json } = await loopback(command, conf, { netns: '/proc/self/ns/net' })
        t.match(
          json,
          { code: 8, msg: "plugin's netns and netns from CNI_NETNS should not be the same" },
          command,
        )
      }
      t.ok((await host.json('ip', 'link', 'show', 'lo'))[0]?.flags)
      t.match((await host.run('ip', 'link', 'show', 'lo')).split('\n')[0], /,UP,/)
    })

    await t.test(
      'it runs with no PATH, CNI_ARGS that are no pairs and a CNI_PATH that is not there',
      async t => {
        const { code } = await host.exec([`${binDir(flavour)}/loopback`], {
          stdin: JSON.stringify(conf),
          env: {
            CNI_COMMAND: 'ADD',
            CNI_CONTAINERID: 'dummy',
            CNI_NETNS: netns,
            CNI_IFNAME: 'eth0',
            CNI_ARGS: 'none',
            CNI_PATH: '/some/test/path',
          },
        })
        t.equal(code, 0)
      },
    )

    await t.test(
      'the kernel’s answer is asked for again where the first time another error comes',
      async t => {
        // As after SIGCONT, at every answer; and at those to its two requests, a question and a change.
        for (const inject of ['error=EINTR:when=1+2', 'error=ENOBUFS:when=1..3+2']) {
          await loopback('DEL', conf, { netns })
          const argv = ['strace', '-qq', '-o', '/run/trace', '-e', 'trace=recvfrom']
          const { code, stdout } = await host.exec(
            [...argv, '-e', `inject=recvfrom:${inject}`, `${binDir(flavour)}/loopback`],
            {
              stdin: JSON.stringify(conf),
              env: {
                ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: netns },
                ...{ CNI_IFNAME: 'lo', CNI_PATH: binDir(flavour), PATH: '/usr/bin:/bin' },
              },
            },
          )
          t.equal(code, 0, `${inject}: ${stdout}`)
          t.ok((await flags()).includes('UP'), inject)
          t.ok(Number(await host.sh('grep -c INJECTED /run/trace')) > 1, inject)
        }
      },
    )

    await t.test('GC and STATUS have nothing to say', async t => {
      const newest = { ...conf, cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }
      for (const command of ['GC', 'STATUS']) {
        const { code, stdout } = await loopback(command, newest)
        t.same([code, stdout], [0, ''], command)
      }
    })
  })
}
