/** Opening CNI_NETNS: a failure names the path and the kernel's words once each. */
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openCallNetns } from '../../../src/cni/plugin'

const envOf = (netns: string) =>
  ({
    command: 'ADD',
    containerID: 'c1',
    netns,
    ifName: 'eth0',
    path: [],
    args: '',
    netnsOverride: false,
  }) as const

t.test('a path that cannot be opened: the message names it, the details have the errno', async t => {
  const path = join(t.testdir({}), 'loop')
  symlinkSync(path, path)
  t.throws(() => openCallNetns(envOf(path)), {
    code: 8,
    message: `failed to open netns "${path}"`,
    details: `ELOOP: too many levels of symbolic links; see as root: ls -lL ${path}`,
  })
})

t.test('a path that does not exist is no failure here: each verb decides', async t => {
  t.same(openCallNetns(envOf('/nonexistent/netns')), { netns: undefined })
})
