/** `kubenet config --check` and `kubenet explain`: a network before it is used, and its keys. */
import t from 'tap'
import { binDir, flavours, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const confDir = '/run/cni/net.d'
const file = '/run/new.conflist'

const good = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'br-pods',
      isGateway: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.95.0.0/24', rangeStart: '10.95.0.10' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'portmap', snat: true, capabilities: { portMappings: true } },
  ],
}

/** The list with the text `from` changed. */
const changed = (from: string, to: string): string => {
  const text = JSON.stringify(good)
  if (!text.includes(from)) throw new Error(`there is no ${from}`)
  return text.replace(from, to)
}

/** A list, and the line about it: status, key and a part of what it says. */
const wrong: readonly (readonly [what: string, text: string, line: readonly [string, string, RegExp]])[] = [
  [
    'a misspelt key',
    changed('isGateway', 'isDefaultGatway'),
    ['fail', 'plugins[0].isDefaultGatway', /^unknown key, did you mean "isDefaultGateway"\?$/],
  ],
  [
    'a misspelt key of a range',
    changed('rangeStart', 'rangestrat'),
    ['fail', 'plugins[0].ipam.ranges[0][0].rangestrat', /did you mean "rangeStart"\?$/],
  ],
  [
    'a misspelt key of the list',
    changed('cniVersion', 'cniVerison'),
    ['fail', 'cniVerison', /"cniVersion"\?$/],
  ],
  [
    'a key that nothing knows',
    changed('snat', 'colour'),
    ['warn', 'plugins[1].colour', /^unknown key: it has no effect$/],
  ],
  [
    'a subnet that is none',
    changed('10.95.0.0/24', '10.95.0.0/33'),
    [
      'fail',
      'plugins[0].ipam.ranges[0][0].subnet',
      /^expected an address with a prefix length but received "10/,
    ],
  ],
  [
    'a value of another type',
    changed('"isGateway":true', '"isGateway":"yes"'),
    ['fail', 'plugins[0].isGateway', /boolean/],
  ],
  ['a comma too much', `${JSON.stringify(good)},`, ['fail', '', /^\/run\/new\.conflist:1:\d+: /]],
  ['an unknown version', changed('1.0.0', '9.0.0'), ['fail', '', /unknown CNI version "9\.0\.0"/]],
  ['a plugin that is not there', changed('portmap', 'portmop'), ['fail', '', /^plugin "portmop" is not in /]],
  ['an address outside of its range', changed('10.95.0.10', '10.96.0.10'), ['fail', '', /10\.96\.0\.10/]],
  [
    'a range that the host has',
    changed('10.95.0.0/24","rangeStart":"10.95.0.10', '172.16.0.0/24","rangeStart":"172.16.0.10'),
    ['fail', '', /"up0" has the address 172\.16\.0\.1/],
  ],
  [
    'the name of another network',
    changed('"pods"', '"there"'),
    ['fail', 'name', /20-there\.conflist has a network "there" too$/],
  ],
  [
    'the name of an interface',
    changed('br-pods', 'up0'),
    ['fail', 'bridge', /^"up0" is an interface of the host and no bridge$/],
  ],
]

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet config --check`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = (...args: string[]) =>
      host.exec([`${binDir(flavour)}/kubenet`, ...args], {
        env: { PATH: process.env.PATH ?? '', NETCONFPATH: confDir, CNI_PATH: binDir(flavour) },
      })
    const check = async (text: string, ...args: string[]) => {
      await host.sh(`cat > ${file} <<'END'\n${text}\nEND`)
      return kubenet('config', '--check', file, ...args)
    }
    await host.sh(`
      mkdir -p ${confDir}; ip link add up0 type veth peer name up1; ip addr add 172.16.0.1/24 dev up0; ip link set up0 up
      echo '{"cniVersion":"1.0.0","name":"there","plugins":[{"type":"loopback"}]}' > ${confDir}/20-there.conflist`)

    await t.test('a good one', async t => {
      const { code, stdout, stderr } = await check(JSON.stringify(good))
      t.same([code, stdout, stderr], [0, `${file}: nothing is wrong\n`, ''])
    })

    for (const [what, text, [status, path, says]] of wrong) {
      await t.test(what, async t => {
        const { code, stdout } = await check(text, '--json')
        t.equal(code, status === 'fail' ? 1 : 0)
        const { lines } = JSON.parse(stdout) as Json
        t.ok(
          lines.some((line: Json) => line.status === status && line.path === path && says.test(line.says)),
          stdout,
        )
      })
    }

    await t.test('all that is wrong at once, as a table, and by doctor too', async t => {
      const { code, stdout } = await check(changed('isGateway', 'isGatewy').replace('portmap', 'portmop'))
      t.equal(code, 1)
      t.match(stdout, /^fail +plugins\[0\]\.isGatewy +unknown key, did you mean "isGateway"\?$/m)
      t.match(stdout, /^fail +- +plugin "portmop" is not in [^\n]*; "kubenet install" puts ours in place$/m)
      t.match(stdout, `${file}: 2 failures, 0 warnings\n`)
      t.same(await kubenet('doctor', '--file', file), { code, stdout, stderr: '' })
      t.equal((await kubenet('config', '--check', '/run/none.conflist')).code, 3)
    })

    await t.test('every example of "explain" is one that "--check" takes', async t => {
      const { code, stdout } = await kubenet('explain', 'bridge.isGateway')
      t.equal(code, 0)
      t.equal(
        stdout,
        'isGateway\n  Give the bridge the gateway addresses and turn forwarding on\n  plugin   bridge\n' +
          '  type     true or false\n  default  false\n  example  "isGateway": true\n',
      )
      t.match((await kubenet('explain', 'egressRate')).stdout, / {2}unit {5}bits a second\n/)
      t.match(
        (await kubenet('explain', 'ipam.ranges[0][0].subnet')).stdout,
        /^ipam\.ranges\[\]\[\]\.subnet\n/,
      )
      const near = await kubenet('explain', 'isDefaultGatway')
      t.same([near.code, near.stdout], [3, ''])
      t.match(
        near.stderr,
        /^kubenet: explain: no key "isDefaultGatway"; did you mean "bridge\.isDefaultGateway"\?; /,
      )
      const { keys } = JSON.parse((await kubenet('explain', 'bandwidth', '--json')).stdout) as Json
      const own = keys.filter(({ path, about }: Json) => about !== '' && !/[.[]/.test(path))
      t.ok(own.length >= 4)
      const examples = own.map(({ example }: Json) => example).join(',')
      const list = `{"cniVersion":"1.0.0","name":"b","plugins":[{"type":"bandwidth",${examples}}]}`
      t.equal((await check(list)).code, 0)
    })
  })
}
