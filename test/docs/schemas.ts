/** The JSON Schema of a list takes every list of the documents and of the deployment, and refuses what a plugin refuses. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv'
import t from 'tap'
import { schemaFiles } from '../../plugins/schemas'
import { isJsonObject, type JsonObject } from '../../src/cni/schema'
import { root } from './fixtures/document'

const { conflist, ...plugins } = schemaFiles()
const takes = new Ajv({ allErrors: true, strictSchema: true, strictTypes: false }).compile(conflist ?? {})

/** What is wrong with a list: "/plugins/0/mtu must be <= 65535". */
const faultsOf = (list: JsonObject): string[] => {
  takes(list)
  return (takes.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map(name => `docs/${name}`),
]
const listsOf = (page: string): JsonObject[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```json\n(.*?)^```$/gms)]
    .map(([, text = '']) => JSON.parse(text))
    .filter(json => isJsonObject(json) && Array.isArray(json.plugins))

t.test('every list of the documents', async t => {
  const found = pages
    .filter(page => page.endsWith('.md'))
    .flatMap(page => listsOf(page).map(list => ({ page, list })))
  t.ok(found.length >= 6, `${found.length} lists`)
  for (const { page, list } of found) t.same(faultsOf(list), [], page)
})

t.test('the list that the node’s image hands to containerd, with its ranges filled in', async t => {
  const template = readFileSync(join(root, 'deploy/containerd-template.conflist'), 'utf8')
  const list = template.replace(/\[\{\{range .*\{\{end\}\}\]/, '["10.244.1.0/24", "fd00:1::/64"]')
  t.same(faultsOf(JSON.parse(list)), [])
})

const bridge = (keys: JsonObject): JsonObject => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [{ type: 'bridge', ipam: { type: 'host-local', subnet: '10.1.0.0/16' }, ...keys }],
})
const hostLocal = (keys: JsonObject): JsonObject => bridge({ ipam: { type: 'host-local', ...keys } })
const plugin = (keys: JsonObject): JsonObject => ({ cniVersion: '1.0.0', name: 'pods', plugins: [keys] })

t.test('unknown plugins, IPAM plugins and keys pass', async t => {
  t.same(faultsOf(plugin({ type: 'macvlan', master: 'eth0', mode: 7 })), [])
  t.same(faultsOf(bridge({ ipam: { type: 'dhcp', provide: [{ option: '12' }] } })), [])
  t.same(faultsOf(bridge({ ipam: {}, 'example.org/key': [1] })), [])
})

const wrong: readonly (readonly [string, JsonObject, string])[] = [
  ['no name', { cniVersion: '1.0.0', plugins: [{ type: 'bridge' }] }, " must have required property 'name'"],
  [
    'no version',
    { name: 'pods', plugins: [{ type: 'bridge' }] },
    " must have required property 'cniVersion'",
  ],
  [
    'a version that never was',
    { ...bridge({}), cniVersion: '1.2.3' },
    '/cniVersion must be equal to one of the allowed values',
  ],
  [
    'a name with a slash',
    { ...bridge({}), name: 'a/b' },
    '/name must match pattern "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"',
  ],
  [
    'no plugins',
    { cniVersion: '1.0.0', name: 'pods', plugins: [] },
    '/plugins must NOT have fewer than 1 items',
  ],
  ['a plugin without a type', plugin({ bridge: 'cbr0' }), "/plugins/0 must have required property 'type'"],
  ['an MTU as text', bridge({ mtu: '1500' }), '/plugins/0/mtu must be integer'],
  ['an MTU that no interface has', bridge({ mtu: 70000 }), '/plugins/0/mtu must be <= 65535'],
  ['VLAN 4095', bridge({ vlan: 4095 }), '/plugins/0/vlan must be <= 4094'],
  [
    'VLAN 5000 in a trunk',
    bridge({ vlanTrunk: [{ id: 5000 }] }),
    '/plugins/0/vlanTrunk/0/id must be <= 4094',
  ],
  ['a boolean as text', bridge({ isGateway: 'true' }), '/plugins/0/isGateway must be boolean'],
  [
    'an IPAM without a type',
    bridge({ ipam: { subnet: '10.1.0.0/16' } }),
    "/plugins/0/ipam must have required property 'type'",
  ],
  [
    'a subnet without its length',
    hostLocal({ subnet: '10.1.0.0' }),
    '/plugins/0/ipam/subnet must match pattern',
  ],
  [
    'a length that is too long',
    hostLocal({ subnet: '10.1.0.0/33' }),
    '/plugins/0/ipam/subnet must match pattern',
  ],
  [
    'a range without its subnet',
    hostLocal({ ranges: [[{ rangeStart: '10.1.0.9' }]] }),
    "/plugins/0/ipam/ranges/0/0 must have required property 'subnet'",
  ],
  [
    'a range that is in no set',
    hostLocal({ ranges: [{ subnet: '10.1.0.0/16' }] }),
    '/plugins/0/ipam/ranges/0 must be array',
  ],
  [
    'an address with leading zeros',
    hostLocal({ ranges: [[{ subnet: '10.1.0.0/16', rangeStart: '10.1.0.010' }]] }),
    '/plugins/0/ipam/ranges/0/0/rangeStart must match pattern',
  ],
  [
    'a gateway that is a host name',
    hostLocal({ subnet: '10.1.0.0/16', gateway: 'router' }),
    '/plugins/0/ipam/gateway must match pattern',
  ],
  [
    'a route without a destination',
    hostLocal({ subnet: '10.1.0.0/16', routes: [{ gw: '10.1.0.1' }] }),
    "/plugins/0/ipam/routes/0 must have required property 'dst'",
  ],
  [
    'a negative cooldown',
    hostLocal({ subnet: '10.1.0.0/16', cooldownSeconds: -1 }),
    '/plugins/0/ipam/cooldownSeconds must be >= 0',
  ],
  [
    'a pod range that is a single word',
    plugin({ type: 'kubenet', podCIDR: 'auto' }),
    '/plugins/0/podCIDR must match pattern',
  ],
  [
    'a hairpin mode that kubelet never had',
    plugin({ type: 'kubenet', hairpinMode: 'promiscuous' }),
    '/plugins/0/hairpinMode must be equal to one of the allowed values',
  ],
  [
    'a backend that is no packet filter',
    plugin({ type: 'kubenet', backend: 'ebpf' }),
    '/plugins/0/backend must be equal to one of the allowed values',
  ],
  [
    'capabilities in a list',
    plugin({ type: 'portmap', capabilities: ['portMappings'] }),
    '/plugins/0/capabilities must be object',
  ],
  [
    'a rate as text',
    plugin({ type: 'bandwidth', ingressRate: '10M' }),
    '/plugins/0/ingressRate must be integer',
  ],
]

t.test('a list that is wrong', async t => {
  for (const [what, list, fault] of wrong) {
    const faults = faultsOf(list)
    t.ok(
      faults.some(found => found.startsWith(fault)),
      `${what}: ${fault}; found ${faults.join(', ')}`,
    )
  }
})

t.test('every schema says what it is of', async t => {
  t.match(conflist, { $id: 'https://json.schemastore.org/kubenet-cni-conflist.json', title: /network/ })
  for (const [name, schema] of Object.entries(plugins)) t.match(schema, { title: new RegExp(name) })
})
