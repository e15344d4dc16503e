import t from 'tap'
import { attachmentOf, cnitoolContainerID } from '../../cli/attachment'
import { fakeIo } from './fixtures/cli'

const none = { ifname: undefined, containerId: undefined }

t.test('the container ID is the one that cnitool makes', async t => {
  // Recorded from cnitool.
  t.equal(cnitoolContainerID('/run/netns/cl-a'), 'cnitool-43a1f034d3c754499a9f')
})

t.test('the path of the namespace is made absolute and clean first, as Go does', async t => {
  const { io } = fakeIo({ cwd: '/run' })
  for (const netns of ['/run/netns/cl-a', 'netns/cl-a', './netns//cl-a/', '/run/x/../netns/cl-a']) {
    const attachment = attachmentOf(netns, none, io)
    t.match(attachment, { netns: '/run/netns/cl-a', containerID: 'cnitool-43a1f034d3c754499a9f' }, netns)
  }
})

t.test('the interface is that of the option, then of CNI_IFNAME, then eth0', async t => {
  const { io } = fakeIo({ env: { CNI_IFNAME: 'net1' } })
  t.equal(attachmentOf('/n', { ...none, ifname: 'net2' }, io).ifName, 'net2')
  t.equal(attachmentOf('/n', none, io).ifName, 'net1')
  t.equal(attachmentOf('/n', none, fakeIo({ env: { CNI_IFNAME: '' } }).io).ifName, 'eth0')
})

t.test('CNI_ARGS and CAP_ARGS are read, and empty ones are none', async t => {
  const { io } = fakeIo({ env: { CNI_ARGS: 'A=1;B=2', CAP_ARGS: '{"mac":"x"}' } })
  t.match(attachmentOf('/n', none, io), {
    args: [
      ['A', '1'],
      ['B', '2'],
    ],
    capabilityArgs: { mac: 'x' },
  })
  const empty = attachmentOf('/n', none, fakeIo({ env: { CNI_ARGS: '', CAP_ARGS: '' } }).io)
  t.same([empty.args, empty.capabilityArgs], [undefined, undefined])
})

t.test('an unreadable variable is a usage error that names it', async t => {
  const cases: [Record<string, string>, string][] = [
    [{ CNI_ARGS: 'A' }, 'CNI_ARGS: invalid CNI_ARGS pair "A"'],
    [{ CAP_ARGS: '{' }, 'CAP_ARGS: not a JSON object: {'],
    [{ CAP_ARGS: '[]' }, 'CAP_ARGS: not a JSON object: []'],
    [{ CNI_IFNAME: 'a/b' }, 'CNI_IFNAME: interface name contains / or : or whitespace characters: "a/b"'],
  ]
  for (const [env, message] of cases) {
    t.throws(() => attachmentOf('/n', none, fakeIo({ env }).io), { message, exitCode: 2 })
  }
})

t.test('no path at all is a namespace that is gone, of a container that must be named', async t => {
  const { io } = fakeIo()
  t.match(attachmentOf('', { ...none, containerId: 'c1' }, io), { netns: '', containerID: 'c1' })
  t.throws(() => attachmentOf('', none, io), { message: /--container-id/, exitCode: 2 })
})
