/** Waiting for the kernel: it ends with what is waited for, not with the time that there is for it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bundled } from '../../fixtures/bundled'
import { PrivateHost } from '../../fixtures/private-host'

t.test('a notification of the kernel ends a wait', async t => {
  const host = await PrivateHost.create(t)
  const program = join(t.testdir(), 'kernel-events.js')
  writeFileSync(program, await bundled('fixtures/kernel-events.ts'))
  await host.sh(`
    ip netns add p
    ip link add a0 type veth peer name b0 address 02:00:00:00:00:b0 netns p; ip addr add 10.1.2.1/24 dev a0
  `)
  const stdout = await host.run(process.execPath, program)
  const waits = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  t.same(
    waits.map(({ what, answer }) => [what, answer]),
    [
      ['link', true],
      ['addresses', undefined],
      ['nothing', []],
      ['neighbours', ['02:00:00:00:00:b0']],
    ],
  )
  for (const { what, ms } of waits) t.ok(ms < 5000, `${what}: ${ms} ms, not the 20 s there are`)
})
