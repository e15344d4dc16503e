import t from 'tap'
import {
  addressesOf,
  bridgeConf,
  hostVethOf,
  layer2Conf,
  linksOf,
  Pod,
  type Stack,
  stacks,
} from '../../fixtures/bridge'
import { flavours, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
const atLeast = (version: string, other: string) => versions.indexOf(version) >= versions.indexOf(other)
const stackNames = Object.keys(stacks) as Stack[]

const routesOf = (stack: Stack) =>
  stacks[stack].gateways.map(gw => ({ dst: gw.includes(':') ? '::/0' : '0.0.0.0/0', gw }))

/** What ADD must answer in a version up to 0.2.0. */
const oldResult = (cniVersion: string, stack: Stack): Json => {
  const result: Json = { cniVersion, dns: {} }
  stacks[stack].ips.forEach((ip, i) => {
    const family = ip.includes(':') ? 'ip6' : 'ip4'
    result[family] = { ip, gateway: stacks[stack].gateways[i], routes: [routesOf(stack)[i]] }
  })
  return result
}

/** What ADD must answer from 0.3.0 on, except for the names and MACs that only the kernel's state tells. */
const newResult = (cniVersion: string, stack: Stack): Json => ({
  cniVersion,
  ips: stacks[stack].ips.map((address, i) => ({
    ...(!atLeast(cniVersion, '1.0.0') && { version: address.includes(':') ? '6' : '4' }),
    interface: 2,
    address,
    gateway: stacks[stack].gateways[i],
  })),
  routes: routesOf(stack),
  dns: {},
})

for (const flavour of flavours) {
  for (const version of versions) {
    t.test(`[${flavour}] [${version}]`, async t => {
      const host = await PrivateHost.create(t)
      const pod = await Pod.create(host, { flavour }, 'c1')

      for (const stack of flavour === flavours[0] ? stackNames : (['dual'] as const)) {
        const conf = bridgeConf(stack, { cniVersion: version, isDefaultGateway: true })
        await t.test(`ADD, CHECK and DEL of ${stack}`, async t => {
          const { code, stdout, json: result } = await pod.call('ADD', conf)
          t.equal(code, 0, stdout)
          // Callers search the raw text for these, without a blank before the colon.
          t.equal(stdout.includes('"version":'), atLeast(version, '0.3.0') && !atLeast(version, '1.0.0'))
          t.equal(stdout.includes('"interfaces":'), atLeast(version, '0.3.0'))
          t.equal(stdout.includes('"ip":'), !atLeast(version, '0.3.0'))
          const [links, eth0] = [await linksOf(host), await pod.link()]
          if (atLeast(version, '0.3.0')) {
            const { interfaces, ...rest } = result
            t.same(rest, newResult(version, stack))
            const mtu = atLeast(version, '1.1.0') ? { mtu: 1500 } : {}
            const veth = hostVethOf(result)
            t.match(veth, /^veth[0-9a-f]{8}$/)
            t.same(interfaces, [
              { name: 'br0', mac: links.get('br0').address, ...mtu },
              { name: veth, mac: links.get(veth).address, ...mtu },
              { name: 'eth0', mac: eth0.address, ...mtu, sandbox: pod.netns },
            ])
          } else {
            t.same(result, oldResult(version, stack))
          }
          t.same(addressesOf(eth0), stacks[stack].ips)
          t.equal([...links.keys()].length, 3, 'lo, the bridge and the veth, nothing else')

          const check = await pod.call('CHECK', { ...conf, prevResult: result })
          if (atLeast(version, '0.4.0')) t.same([check.code, check.stdout], [0, ''])
          else t.match(check, { code: 1, json: { code: 1 } })

          const prevResult = atLeast(version, '0.4.0') ? { prevResult: result } : {}
          for (const time of ['first', 'second']) {
            const { code, stdout } = await pod.call('DEL', { ...conf, ...prevResult })
            t.same([code, stdout], [0, ''], `the ${time} DEL`)
          }
          t.equal(await pod.link(), undefined)
          t.same([...(await linksOf(host)).keys()].sort(), ['br0', 'lo'])
          await host.run('ip', 'link', 'del', 'br0')
        })
      }

      await t.test('GC and STATUS are verbs of 1.1.0', async t => {
        const conf = bridgeConf('v4', { cniVersion: version, 'cni.dev/valid-attachments': [] })
        for (const command of ['GC', 'STATUS']) {
          const { code, stdout, json } = await pod.call(command, conf)
          if (atLeast(version, '1.1.0')) t.same([code, stdout], [0, ''], command)
          else t.same([code, json.code], [1, 1], command)
        }
      })

      await t.test('layer 2 has no addresses, which 0.1.0 and 0.2.0 cannot say', async t => {
        const conf = layer2Conf({ cniVersion: version })
        const answer = await pod.call('ADD', conf)
        if (!atLeast(version, '0.3.0')) {
          t.match(answer, { code: 1, json: { msg: 'cannot convert: no valid IP addresses' } })
          t.notOk(answer.json.details)
          t.equal(await pod.link(), undefined, 'the ADD was undone')
          return
        }
        t.equal(answer.code, 0)
        t.notOk('ips' in answer.json)
        t.equal(answer.json.interfaces.length, 3)
        t.equal((await pod.call('DEL', conf)).code, 0)
      })

      await t.test('two IPv6 addresses are more than 0.1.0 and 0.2.0 can say', async t => {
        const ranges = [[{ subnet: 'fd00:2::/64' }], [{ subnet: 'fd00:3::/64' }]]
        const conf = bridgeConf('v6', { cniVersion: version, ipam: { type: 'host-local', ranges } })
        const { code, json } = await pod.call('ADD', conf)
        if (atLeast(version, '0.3.0')) {
          t.equal(json.ips.length, 2)
        } else {
          t.equal(json.msg, `CNI version ${version} does not support more than 1 address per family`)
          t.equal(await pod.link(), undefined, 'the ADD was undone')
        }
        t.equal(code, atLeast(version, '0.3.0') ? 0 : 1)
      })
    })
  }

  t.test(`[${flavour}] VERSION answers on empty stdin`, async t => {
    const host = await PrivateHost.create(t)
    const pod = await Pod.create(host, { flavour }, 'c1')
    const { code, json } = await pod.call('VERSION', '')
    t.same([code, json], [0, { cniVersion: '1.1.0', supportedVersions: versions }])
  })

  t.test(`[${flavour}] an unknown version is refused with code 1`, async t => {
    const host = await PrivateHost.create(t)
    const pod = await Pod.create(host, { flavour }, 'c1')
    t.match(await pod.call('ADD', bridgeConf('v4', { cniVersion: '2.0.0' })), { code: 1, json: { code: 1 } })
  })
}
