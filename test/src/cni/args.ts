import t from 'tap'
import { checkIfName, readCniArgs, readCniEnv } from '../../../src/cni/args'

const full = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/a',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
}

t.test('readCniEnv() reads a whole call', async t => {
  t.same(readCniEnv({ ...full, CNI_ARGS: 'K=V', CNI_NETNS_OVERRIDE: 'True' }), {
    command: 'ADD',
    containerID: 'c1',
    netns: '/run/netns/a',
    ifName: 'eth0',
    args: 'K=V',
    path: ['/opt/cni/bin', '/usr/lib/cni'],
    netnsOverride: true,
  })
})

t.test('readCniEnv() reports all missing variables together, with code 4', async t => {
  const cases: [Record<string, string>, string][] = [
    [{ CNI_COMMAND: 'ADD' }, 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    [{ CNI_COMMAND: 'CHECK' }, 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    [{ CNI_COMMAND: 'DEL' }, 'CNI_CONTAINERID,CNI_IFNAME,CNI_PATH'],
    [{ CNI_COMMAND: 'GC' }, 'CNI_PATH'],
    [{ CNI_COMMAND: 'STATUS' }, 'CNI_PATH'],
    [{}, 'CNI_COMMAND'],
  ]
  for (const [env, missing] of cases) {
    const error = { code: 4, message: `required env variables [${missing}] missing` }
    t.throws(() => readCniEnv(env), error, JSON.stringify(env))
  }
})

t.test('readCniEnv() asks nothing else of VERSION, and no netns of DEL', async t => {
  t.equal(readCniEnv({ CNI_COMMAND: 'VERSION' }).command, 'VERSION')
  t.equal(readCniEnv({ ...full, CNI_COMMAND: 'DEL', CNI_NETNS: '' }).netns, '')
})

t.test('readCniEnv() refuses commands, container IDs and interface names that are none', async t => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ CNI_COMMAND: 'add' }, /^unknown CNI_COMMAND: add$/],
    [{ CNI_CONTAINERID: '../etc' }, /containerID/],
    [{ CNI_CONTAINERID: '-c1' }, /containerID/],
    [{ CNI_CONTAINERID: 'a b' }, /containerID/],
    [{ CNI_CONTAINERID: 'c\n' }, /containerID/],
    [{ CNI_IFNAME: 'a-name-too-long1' }, /^interface name is too long$/],
    [{ CNI_IFNAME: '..' }, /^interface name is \. or \.\.$/],
    [{ CNI_IFNAME: 'eth/0' }, /^interface name contains/],
  ]
  for (const [change, message] of cases) {
    t.throws(() => readCniEnv({ ...full, ...change }), { code: 4, message }, JSON.stringify(change))
  }
})

t.test('checkIfName() counts bytes and knows white space as Go does', async t => {
  t.doesNotThrow(() => checkIfName('fifteen-bytes-0'))
  t.throws(() => checkIfName('ééééééééé'), /too long/, '9 characters, 18 bytes')
  for (const name of ['a b', 'a\tb', 'a:b', 'a\u0085b', 'a\u2003b'])
    t.throws(() => checkIfName(name), /whitespace/, name)
})

t.test('readCniArgs() finds what it is asked for, wherever IgnoreUnknown stands', async t => {
  const args = 'K8S_POD_NAME=a;IP=10.1.2.3;IgnoreUnknown=1;K8S_POD_UID=uid-a'
  t.same(readCniArgs(args, ['IP', 'MAC']), { IP: '10.1.2.3' })
  t.same(readCniArgs('IgnoreUnknown=true;X=', ['IP']), {})
  t.same(readCniArgs('', ['IP']), {})
})

t.test(
  'readCniArgs() refuses unknown keys and pairs that are none, in the words of the reference',
  async t => {
    const cases = new Map([
      ['A=1;B=2', 'ARGS: unknown args ["A=1" "B=2"]'],
      ['A=1;IgnoreUnknown=0', 'ARGS: unknown args ["A=1"]'],
      ['none', 'ARGS: invalid pair "none"'],
      ['IP=1=2', 'ARGS: invalid pair "IP=1=2"'],
      [
        'IgnoreUnknown=maybe',
        'ARGS: error parsing value of pair "IgnoreUnknown=maybe": boolean unmarshal error',
      ],
    ])
    for (const [args, message] of cases) t.throws(() => readCniArgs(args, ['IP']), { code: 4, message }, args)
  },
)
