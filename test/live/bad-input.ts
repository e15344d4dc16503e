/** What plugins refuse of any verb, with which code, and that they name what is wrong. */
import t from 'tap'
import { anyFlavour, binDir, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const verbs = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'] as const
type Verb = (typeof verbs)[number]
const everyPlugin = ['bridge', 'host-local', 'loopback', 'portmap', 'bandwidth', 'kubenet'] as const
type Plugin = (typeof everyPlugin)[number]

/** One refused call: what is put in place of a good call's parts, and the error object but its version. */
type Case = {
  what: string
  verbs?: readonly Verb[]
  /** Left out: bridge, host-local and loopback, which all plugins have this much in common with. */
  plugins?: readonly Plugin[]
  env?: Record<string, string | undefined>
  conf?: unknown
  /** Instead of a configuration. */
  stdin?: string
  error: (verb: Verb) => { code: number; msg: string; details?: string | RegExp }
}

const ofContainer = ['ADD', 'CHECK', 'DEL'] as const

const goodEnv = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/nowhere',
}

const goodConf = {
  cniVersion: '1.1.0',
  name: 'net',
  bridge: 'br0',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }]] },
  'cni.dev/valid-attachments': [],
}

const needed: Record<Verb, string> = {
  ADD: 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH',
  CHECK: 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH',
  DEL: 'CNI_CONTAINERID,CNI_IFNAME,CNI_PATH',
  GC: 'CNI_PATH',
  STATUS: 'CNI_PATH',
}

const nothingSet = Object.fromEntries(Object.keys(goodEnv).map(name => [name, undefined]))

const invalid = (msg: string, details?: string) => () => ({ code: 7, msg, ...(details && { details }) })

const cases: Case[] = [
  {
    what: 'no variables',
    env: nothingSet,
    error: verb => ({ code: 4, msg: `required env variables [${needed[verb]}] missing` }),
  },
  {
    what: 'a container ID with a slash',
    verbs: ofContainer,
    env: { CNI_CONTAINERID: '../c1' },
    error: () => ({ code: 4, msg: 'invalid characters in containerID', details: '../c1' }),
  },
  {
    what: 'an interface name of 16 bytes',
    verbs: ofContainer,
    env: { CNI_IFNAME: 'abcdefghijklmnop' },
    error: () => ({
      code: 4,
      msg: 'interface name is too long',
      details: '"abcdefghijklmnop" has more than 15 bytes',
    }),
  },
  {
    what: 'the namespace of the plugin itself',
    verbs: ofContainer,
    env: { CNI_NETNS: '/proc/self/ns/net' },
    error: () => ({
      code: 8,
      msg: "plugin's netns and netns from CNI_NETNS should not be the same",
      details:
        '"/proc/self/ns/net" is the network namespace the plugin was started in; nothing in it was changed',
    }),
  },
  ...['/proc/self/ns/ipc', '/proc/self/ns/uts', '/run/uts', '/run/file', '/run'].map(
    (netns): Case => ({
      what: `${netns}, which is no network namespace`,
      verbs: ['ADD', 'CHECK'],
      plugins: everyPlugin,
      env: { CNI_NETNS: netns },
      error: () => ({ code: 8, msg: `CNI_NETNS "${netns}" is not a network namespace` }),
    }),
  ),
  {
    what: 'no JSON',
    stdin: '{"name": net}',
    error: () => ({ code: 6, msg: 'the network configuration on stdin is not JSON', details: /JSON/ }),
  },
  {
    what: 'nothing on stdin',
    stdin: '',
    error: () => ({ code: 6, msg: 'the network configuration on stdin is not JSON', details: /JSON/ }),
  },
  {
    what: 'a list',
    conf: [goodConf],
    error: () => ({ code: 6, msg: 'the network configuration on stdin is not a JSON object' }),
  },
  {
    what: 'a version that is a number',
    conf: { ...goodConf, cniVersion: 1 },
    error: () => ({ code: 6, msg: 'cniVersion is not a string: 1' }),
  },
  {
    what: 'an unknown version',
    conf: { ...goodConf, cniVersion: '9.9.9' },
    error: () => ({
      code: 1,
      msg: 'incompatible CNI versions',
      details: /^config is "9\.9\.9", plugin supports/,
    }),
  },
  {
    what: 'a version without the verb',
    verbs: ['CHECK', 'GC', 'STATUS'],
    conf: { ...goodConf, cniVersion: '0.3.1' },
    error: verb => ({
      code: 1,
      msg: `config version does not allow ${verb}`,
      details: `cniVersion is 0.3.1, ${verb} exists since ${verb === 'CHECK' ? '0.4.0' : '1.1.0'}`,
    }),
  },
  { what: 'no name', conf: { ...goodConf, name: '' }, error: invalid('missing network name') },
  {
    what: 'a name that is a number',
    conf: { ...goodConf, name: 7 },
    error: invalid('network configuration: "name": expected string but received 7'),
  },
  {
    what: 'a name with a slash',
    conf: { ...goodConf, name: 'a/b' },
    error: invalid('invalid characters found in network name', 'a/b'),
  },
  {
    what: 'GC without what is valid',
    verbs: ['GC'],
    conf: { ...goodConf, 'cni.dev/valid-attachments': undefined },
    error: invalid(
      'GC needs the key "cni.dev/valid-attachments"; without it every attachment would count as stale',
    ),
  },
  {
    what: 'a key of the wrong type',
    plugins: ['bridge'],
    conf: { ...goodConf, isGateway: 'yes' },
    error: invalid('bridge: "isGateway": expected boolean but received "yes"'),
  },
  {
    what: 'an invalid VLAN',
    plugins: ['bridge'],
    conf: { ...goodConf, vlan: 4095 },
    error: invalid('invalid VLAN ID 4095 (must be between 0 and 4094)'),
  },
  {
    what: 'a subnet that is none',
    plugins: ['host-local'],
    conf: { ...goodConf, ipam: { subnet: '10.1.2' } },
    error: invalid(
      'host-local: "ipam.subnet": expected an address with a prefix length but received "10.1.2"',
    ),
  },
  {
    what: 'a subnet with host bits',
    plugins: ['host-local'],
    conf: { ...goodConf, ipam: { subnet: '10.1.2.3/24' } },
    error: invalid(
      'invalid range set 0: Network has host bits set. For a subnet mask of length 24 the network address is 10.1.2.0',
    ),
  },
  {
    what: 'ranges that overlap',
    plugins: ['host-local'],
    conf: { ...goodConf, ipam: { ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: '10.1.0.0/16' }]] } },
    error: invalid('range set 0 overlaps with 1'),
  },
]

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** A shell command that makes a call in an environment of its own, and prints a line: its code, then its answer. */
const commandOf = (bin: string, plugin: Plugin, verb: Verb, { env = {}, conf, stdin }: Case): string => {
  const variables = Object.entries({ ...goodEnv, ...env, CNI_COMMAND: verb })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
  const input = stdin ?? JSON.stringify({ type: plugin, ...goodConf, ...(conf as object) })
  const text = Array.isArray(conf) ? JSON.stringify(conf) : input
  return `printf %s ${quoted(text)} | env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin ${variables.map(quoted).join(' ')} \\
    ${bin}/${plugin} > /run/answer; echo "$? $(cat /run/answer)"`
}

const [flavour] = anyFlavour

t.test(`[${flavour}] every verb refuses bad input with its code and names it`, async t => {
  if (!flavour) return
  const host = await PrivateHost.create(t)
  await host.netns('c1')
  const before = await host.snapshot()
  await host.sh('touch /run/file /run/uts; mount --bind /proc/self/ns/uts /run/uts')
  const calls = everyPlugin.flatMap(plugin =>
    cases
      .filter(({ plugins = everyPlugin.slice(0, 3) }) => plugins.includes(plugin))
      .flatMap(one => (one.verbs ?? verbs).map(verb => ({ plugin, verb, one }))),
  )
  // All of them by one shell: entering the host costs as much as a call.
  const script = calls
    .map(({ plugin, verb, one }) => commandOf(binDir(flavour), plugin, verb, one))
    .join('\n')
  const { stdout } = await host.exec(['sh'], { stdin: script, timeoutMs: 300_000 })
  const lines = stdout.trim().split('\n')
  t.equal(lines.length, calls.length)
  for (const [i, { plugin, verb, one }] of calls.entries()) {
    const line = lines[i] ?? ''
    const title = `${plugin} ${verb}: ${one.what}`
    t.equal(line.slice(0, 2), '1 ', title)
    const { cniVersion, ...answer }: Json = line.startsWith('1 {') ? JSON.parse(line.slice(2)) : {}
    t.type(cniVersion, 'string', title)
    t.match(answer, one.error(verb), title)
    if (!one.error(verb).details) t.notOk(answer.details, title)
  }
  t.equal(await host.snapshot(), before, 'nothing was changed')
})
