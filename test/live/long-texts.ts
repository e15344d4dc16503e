/** Texts of megabytes wherever a configuration has a text: refused at once, and shown by their beginning. */
import t from 'tap'
import { anyFlavour, binDir, call, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const base = { cniVersion: '1.1.0', name: 'net' }
const hostLocal = (ipam: Json, more: Json = {}): Json => ({
  ...base,
  ipam: { type: 'host-local', ...ipam },
  ...more,
})
const subnet = '10.1.2.0/24'
const prevResult = { cniVersion: '1.1.0', interfaces: [], ips: [{ address: '10.1.2.9/24' }], dns: {} }
const portmap = (mapping: Json, more: Json = {}): Json => ({
  ...base,
  prevResult,
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, ...mapping }] },
  ...more,
})

/** A plugin, and its configuration with a long text somewhere. */
const calls: readonly (readonly [plugin: string, conf: (long: string) => Json])[] = [
  ['host-local', long => ({ ...hostLocal({ subnet }), name: long })],
  ['loopback', long => ({ ...base, cniVersion: long })],
  ['host-local', long => hostLocal({ subnet: long })],
  ['host-local', long => hostLocal({ subnet: `${long}/24` })],
  ['host-local', long => hostLocal({ subnet: `10.1.2.0/${long}` })],
  ['host-local', long => hostLocal({ subnet, rangeStart: long })],
  ['host-local', long => hostLocal({ subnet, gateway: long })],
  ['host-local', long => hostLocal({ subnet, exclude: [long] })],
  ['host-local', long => hostLocal({ subnet, exclude: [long.replaceAll('1', '-')] })],
  ['host-local', long => hostLocal({ subnet, routes: [{ dst: long }] })],
  ['host-local', long => hostLocal({ subnet, resolvConf: `/${long}` })],
  ['host-local', long => hostLocal({ subnet, dataDir: `/${long}` })],
  ['host-local', long => hostLocal({ subnet }, { runtimeConfig: { ips: [long] } })],
  ['bridge', long => hostLocal({ subnet: long }, { bridge: 'br0' })],
  ['bridge', long => hostLocal({ subnet: long })],
  ['bridge', long => hostLocal({ subnet, type: long })],
  ['bridge', long => hostLocal({ subnet }, { bridge: long })],
  ['bridge', long => hostLocal({ subnet }, { isGateway: long })],
  ['bridge', long => hostLocal({ subnet }, { runtimeConfig: { mac: long } })],
  ['bridge', long => hostLocal({ subnet }, { bridge: 'br0', ipMasq: true, ipMasqBackend: long })],
  ['portmap', long => portmap({ protocol: long })],
  ['portmap', long => portmap({ hostIP: long })],
  ['portmap', long => portmap({ hostPort: long })],
  ['portmap', long => portmap({}, { backend: long })],
  ['portmap', long => portmap({}, { externalSetMarkChain: long })],
  ['portmap', long => portmap({}, { prevResult: { ...prevResult, ips: [{ address: long }] } })],
  ['bandwidth', long => ({ ...base, prevResult, ingressRate: long })],
  ['kubenet', long => ({ ...base, podCidr: long })],
  ['kubenet', long => ({ ...base, podCidr: subnet, bridge: long })],
]

/** Message and details end at 16,384 characters each. */
const mostCharacters = 34_000

const [flavour] = anyFlavour

t.test(`[${flavour}] a text of 15 MiB`, async t => {
  if (!flavour) return
  const host = await PrivateHost.create(t)
  const netns = await host.netns('c1')
  const long = '1'.repeat(15 * 1024 * 1024)
  // The bridges stay when the last container goes.
  for (const bridge of ['br0', undefined])
    for (const command of ['ADD', 'DEL'])
      await call(host, binDir(flavour), 'bridge', hostLocal({ subnet }, { bridge }), { command, netns })
  const before = await host.snapshot()
  for (const [plugin, conf] of calls) {
    const where = `${plugin}: ${JSON.stringify(conf('…'))}`
    const answer = await call(host, binDir(flavour), plugin, conf(long), { netns })
    t.equal(answer.code, 1, where)
    t.match(answer.json, { code: Number, msg: String }, where)
    t.ok(
      [1, 5, 6, 7].includes(answer.json?.code),
      `${where}: code ${answer.json?.code} ${answer.stdout.slice(0, 300)}`,
    )
    t.ok(answer.stdout.length < mostCharacters, `${where}: an answer of ${answer.stdout.length} characters`)
    t.ok(answer.stderr.length < mostCharacters, `${where}: ${answer.stderr.length} characters on stderr`)
  }
  t.equal(await host.snapshot(), before, 'nothing has changed')
})
