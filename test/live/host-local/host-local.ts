/** The verbs of host-local in every version of the specification, and what runtimes really send. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { binDir, type CallOptions, flavours, type Json } from '../../fixtures/cni'
import { leaseFolder as folder, type HostLocal, hostLocalOn, leasesOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd01::/64', gw: 'fd00::9', mtu: 1400 }],
}

const confOf = (cniVersion: string, rest: Record<string, unknown> = {}) => ({
  cniVersion,
  name: 'net',
  type: 'bridge',
  ipam,
  ...rest,
})

/** The result of an ADD that gets .2, as each version says it. */
const expected = (version: string): Json => {
  const [v4, v6] = [{ gateway: '10.1.2.1' }, { gateway: 'fd00::1' }]
  if (version < '0.3.0') {
    return {
      cniVersion: version,
      ip4: { ip: '10.1.2.2/24', ...v4, routes: [{ dst: '0.0.0.0/0' }] },
      ip6: { ip: 'fd00::2/64', ...v6, routes: [{ dst: 'fd01::/64', gw: 'fd00::9' }] },
      dns: {},
    }
  }
  const withVersion = version < '1.0.0'
  return {
    cniVersion: version,
    ips: [
      { ...(withVersion && { version: '4' }), address: '10.1.2.2/24', ...v4 },
      { ...(withVersion && { version: '6' }), address: 'fd00::2/64', ...v6 },
    ],
    routes: [
      { dst: '0.0.0.0/0' },
      { dst: 'fd01::/64', gw: 'fd00::9', ...(version >= '1.1.0' && { mtu: 1400 }) },
    ],
    dns: {},
  }
}

const files = async (host: PrivateHost): Promise<string[]> =>
  (await host.sh(`cd ${folder} && find . -type f | sort`)).trim().split('\n')

/** A verb that this version has not got is refused with code 1; one that it has answers nothing. */
const testVerb = async (t: Test, hostLocal: HostLocal, verb: string, since: string, conf: Json) => {
  const { code, stdout, json } = await hostLocal(verb, conf)
  if (conf.cniVersion >= since) t.same([code, stdout], [0, ''], verb)
  else t.match({ code, json }, { code: 1, json: { code: 1, msg: `config version does not allow ${verb}` } })
}

const testVersion = (t: Test, host: PrivateHost, hostLocal: HostLocal, version: string) =>
  t.test(`[${version}] ADD, CHECK, GC, STATUS and DEL`, async t => {
    const conf = confOf(version)
    const { code, stdout, json } = await hostLocal('ADD', conf)
    t.equal(code, 0, stdout)
    t.strictSame(json, expected(version))
    t.equal(stdout.trim().split('\n').length, 1, 'the result is one line')
    t.equal(stdout.includes('"version":'), version >= '0.3.0' && version < '1.0.0')
    t.same(await files(host), [
      './10.1.2.2',
      './fd00::2',
      './last_reserved_ip.0',
      './last_reserved_ip.1',
      './lock',
    ])
    await testVerb(t, hostLocal, 'CHECK', '0.4.0', confOf(version, { prevResult: json }))
    await testVerb(t, hostLocal, 'STATUS', '1.1.0', conf)
    const attachments = [{ containerID: 'c1', ifname: 'eth0' }]
    await testVerb(t, hostLocal, 'GC', '1.1.0', { ...conf, 'cni.dev/valid-attachments': attachments })
    t.equal((await files(host)).length, 5, 'nothing that is valid was freed')
    for (const _ of ['DEL', 'DEL again']) {
      const answer = await hostLocal('DEL', conf)
      t.same([answer.code, answer.stdout, answer.stderr], [0, '', ''])
    }
    t.same(await files(host), ['./last_reserved_ip.0', './last_reserved_ip.1', './lock'])
    t.equal((await host.sh('find /var/lib/cni/networks/.kubenet -type f')).trim(), '', 'no record is left')
    await host.sh('rm -rf /var/lib/cni/networks')
  })

const samplesDir = join(__dirname, '../../fixtures/samples')

const testSample = (t: Test, host: PrivateHost, bin: string, name: string) =>
  t.test(`${name}: the call a runtime made is answered as it was then`, async t => {
    const sample = JSON.parse(readFileSync(join(samplesDir, `${name}.json`), 'utf8'))
    const env = { ...sample.env, CNI_PATH: bin }
    const run = (command: string) =>
      host.exec([`${bin}/host-local`], {
        stdin: JSON.stringify(sample.stdin),
        env: { ...env, CNI_COMMAND: command },
      })
    const { code, stdout } = await run('ADD')
    t.equal(code, 0, stdout)
    t.strictSame(JSON.parse(stdout), sample.stdout)
    t.same(await run('DEL'), { code: 0, stdout: '', stderr: '' })
  })

for (const flavour of flavours) {
  t.test(`[${flavour}] host-local`, async t => {
    const host = await PrivateHost.create(t)
    const bin = binDir(flavour)
    const hostLocal = hostLocalOn(host, bin)
    const lease = (name: string) => host.sh(`cat ${folder}/${name}`)

    await t.test('DEL of a network that never was succeeds and makes nothing', async t => {
      t.same((await hostLocal('DEL', confOf('1.0.0'))).code, 0)
      t.equal((await host.sh('ls -A /var/lib/cni')).trim(), '')
    })

    for (const version of versions) await testVersion(t, host, hostLocal, version)

    await t.test('VERSION needs neither variables nor input', async t => {
      const { code, stdout } = await host.exec([`${bin}/host-local`], { env: { CNI_COMMAND: 'VERSION' } })
      t.equal(code, 0)
      t.same(JSON.parse(stdout), { cniVersion: '1.1.0', supportedVersions: [...versions] })
    })

    for (const name of [
      'cnitool/host-local-add',
      'cnitool/host-local-add-dual-stack',
      'containerd/host-local-add',
    ]) {
      await testSample(t, host, bin, name)
    }

    await t.test('a lease has the bytes and the mode of the reference', async t => {
      await hostLocal('ADD', confOf('1.0.0'), { containerID: 'a', ifName: 'net1' })
      t.equal(await lease('10.1.2.2'), 'a\r\nnet1')
      t.equal(await lease('last_reserved_ip.0'), '10.1.2.2')
      t.equal(await lease('last_reserved_ip.1'), 'fd00::2')
      t.equal((await host.sh(`stat -c %a ${folder}/10.1.2.2 ${folder}`)).trim(), '600\n755')
      await host.sh('rm -rf /var/lib/cni/networks')
    })

    await t.test('podman’s network reload asks twice for the same address, in runtimeConfig', async t => {
      const ipv4 = { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }]] }
      const reload = confOf('0.4.0', { ipam: ipv4, runtimeConfig: { ips: ['10.1.2.77', '10.1.2.77'] } })
      t.equal((await hostLocal('ADD', reload)).json.ips[0].address, '10.1.2.77/24')
      t.equal((await hostLocal('DEL', reload)).code, 0)
    })

    await t.test('addresses come from CNI_ARGS, args and runtimeConfig; keys in any case', async t => {
      const { json } = await hostLocal('ADD', confOf('1.0.0', { Args: { CNI: { IPs: ['fd00::77/64'] } } }), {
        args: 'K8S_POD_NAME=a;IgnoreUnknown=1;IP=10.1.2.88',
      })
      t.same(
        json.ips.map(({ address }: Json) => address),
        ['10.1.2.88/24', 'fd00::77/64'],
      )
      await hostLocal('DEL', confOf('1.0.0'))
      const ipRanges = [[{ SUBNET: '10.9.0.0/24', rangeStart: '10.9.0.50', gateway: null }]]
      const fromRuntime = confOf('1.0.0', { RuntimeConfig: { IPRanges: ipRanges }, ipam: { routes: null } })
      t.same((await hostLocal('ADD', fromRuntime)).json.ips, [
        { address: '10.9.0.50/24', gateway: '10.9.0.1' },
      ])
      await hostLocal('DEL', fromRuntime)
    })

    await t.test('resolvConf is the result’s dns', async t => {
      await host.sh(
        'printf "  nameserver 192.0.2.1\\n#x\\nsearch a\\nsearch b c\\ndomain d\\n" > /run/resolv.conf',
      )
      const withDns = confOf('1.0.0', { ipam: { ...ipam, resolvConf: '/run/resolv.conf' } })
      const dns = { nameservers: ['192.0.2.1'], domain: 'd', search: ['a', 'b', 'c'] }
      t.same((await hostLocal('ADD', withDns)).json.dns, dns)
      await hostLocal('DEL', withDns)
    })

    await t.test('addresses go round in turn, one at a time', async t => {
      const small = confOf('1.0.0', { ipam: { ranges: [[{ subnet: '10.1.3.0/29' }]] }, name: 'round' })
      const got: string[] = []
      for (let i = 0; i < 7; i++) {
        const containerID = `round${i}`
        got.push((await hostLocal('ADD', small, { containerID })).json.ips[0].address)
        await hostLocal('DEL', small, { containerID })
      }
      t.same(
        got,
        [2, 3, 4, 5, 6, 2, 3].map(byte => `10.1.3.${byte}/29`),
      )
    })

    await t.test('another interface, and another container, keep theirs at DEL', async t => {
      const calls: CallOptions[] = [
        { containerID: 'a' },
        { containerID: 'a', ifName: 'eth1' },
        { containerID: 'b' },
      ]
      for (const options of calls) await hostLocal('ADD', confOf('1.0.0'), options)
      t.equal((await leasesOn(host)).length, 6)
      await hostLocal('DEL', confOf('1.0.0'), { containerID: 'a' })
      for (const options of calls) {
        const { code } = await hostLocal('CHECK', confOf('1.0.0'), options)
        t.equal(code, options === calls[0] ? 1 : 0, JSON.stringify(options))
      }
      for (const options of calls) await hostLocal('DEL', confOf('1.0.0'), options)
    })

    await t.test('CHECK misses a lease that is gone, and one that is not prevResult’s', async t => {
      const { json: prevResult } = await hostLocal('ADD', confOf('1.0.0'))
      const wrong = { ...prevResult, ips: [{ address: '10.1.2.250/24' }] }
      const refused = await hostLocal('CHECK', confOf('1.0.0', { prevResult: wrong }))
      t.match(refused.json, {
        code: 999,
        msg: 'host-local: 10.1.2.250 of prevResult is not leased to container c1, eth0',
      })
      await host.sh(`rm ${folder}/10.1.2.* ${folder}/fd00::*`)
      const { code, json } = await hostLocal('CHECK', confOf('1.0.0', { prevResult }))
      t.equal(code, 1)
      t.match(json, { code: 999, msg: 'host-local: Failed to find address added by container c1' })
      t.equal((await hostLocal('DEL', confOf('1.0.0'))).code, 0)
    })

    await t.test('GC frees what is not valid, under either key, and refuses to guess', async t => {
      const conf = confOf('1.1.0')
      const leased = async () => (await leasesOn(host)).filter(name => name.startsWith('10.'))
      await host.sh('rm -rf /var/lib/cni/networks')
      for (const containerID of ['a', 'b', 'c']) await hostLocal('ADD', conf, { containerID })
      await host.sh(`printf b > ${folder}/10.1.2.50; printf x > ${folder}/10.1.2.51; : > ${folder}/10.1.2.52`)
      const missing = await hostLocal('GC', conf)
      t.match([missing.code, missing.json.code], [1, 7])
      t.equal((await leased()).length, 6)
      const b = { containerID: 'b', ifname: 'eth0' }
      t.equal((await hostLocal('GC', { ...conf, 'cni.dev/attachments': [b] })).code, 0)
      t.same(await leased(), ['10.1.2.3', '10.1.2.50'])
      t.equal((await hostLocal('GC', { ...conf, 'cni.dev/valid-attachments': [] })).code, 0)
      t.same(await files(host), ['./last_reserved_ip.0', './last_reserved_ip.1', './lock'])
    })

    await t.test('STATUS is 50 with used and total when a range set is full', async t => {
      const full = {
        ...confOf('1.1.0'),
        name: 'tiny',
        ipam: { ranges: [[{ subnet: 'fd00::/64' }], [{ subnet: '10.1.4.0/30' }]] },
      }
      t.equal((await hostLocal('STATUS', full)).code, 0)
      await hostLocal('ADD', full)
      const { code, json } = await hostLocal('STATUS', full)
      t.equal(code, 1)
      t.same(json, {
        cniVersion: '1.1.0',
        code: 50,
        msg: 'host-local: no IP addresses available in range set: 10.1.4.1-10.1.4.2',
        details: '1 of 1 in use',
      })
      await hostLocal('DEL', full)
    })
  })
}
