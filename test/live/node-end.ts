/** How a plugin that runs on Node.js ends: by itself, not by Node.js, which waits for its own threads first. */
import { join } from 'node:path'
import t from 'tap'
import { binDir, call, flavours } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const conf = {
  cniVersion: '1.0.0',
  name: 'net',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }]] },
}

/** The answer of a verb where whatever ends by way of Node.js never does. */
const callEndless = async (host: PrivateHost, command: string, conf: unknown) => {
  const folder = t.testdir({ 'endless.cjs': `process.on('exit', () => { for (;;); })` })
  const env = { NODE_OPTIONS: `--require=${join(folder, 'endless.cjs')}` }
  return call(host, binDir('node'), 'host-local', conf, { command, netns: '/run/netns/c1', env })
}

t.test(
  'a call ends where Node.js would not come to its end',
  { skip: !flavours.includes('node') },
  async t => {
    const host = await PrivateHost.create(t)
    await host.netns('c1')
    const add = await callEndless(host, 'ADD', conf)
    t.same([add.code, add.json?.ips?.[0].address], [0, '10.1.2.2/24'], add.stdout)
    const full = { ...conf, ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.2/32' }]] } }
    const refused = await callEndless(host, 'ADD', full)
    t.same([refused.code, typeof refused.json?.msg], [1, 'string'])
    t.equal((await callEndless(host, 'DEL', conf)).code, 0)
  },
)
