/**
 * GC of every plugin: refused without the key, at its word with an empty list, under both spellings of the key, passed
 * on to the IPAM plugin, and for what the Go plugins have left as well.
 */
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { binDir, type Json, peerDir } from '../fixtures/cni'
import { stateFunctions } from '../fixtures/host-state'
import { PrivateHost } from '../fixtures/private-host'

const ours = binDir('standalone')

const net = (type: string, more: Json): Json => ({ cniVersion: '1.0.0', name: 'net', type, ...more })

/** A chain, as it is added plugin by plugin; PORT is another for each container, RESULT what came before. */
const goChain: readonly Json[] = [
  net('bridge', {
    ...{ bridge: 'br0', mtu: 1500, isGateway: true, ipMasq: true },
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }]] },
  }),
  net('portmap', {
    runtimeConfig: { portMappings: [{ hostPort: 'PORT', containerPort: 80, protocol: 'tcp' }] },
    prevResult: 'RESULT',
  }),
  net('bandwidth', {
    ...{ ingressRate: 8e6, ingressBurst: 8e4, egressRate: 8e6, egressBurst: 8e4 },
    prevResult: 'RESULT',
  }),
]

const kubenetChain: readonly Json[] = [
  {
    ...{ cniVersion: '1.0.0', name: 'pods', type: 'kubenet', podCIDRs: ['10.1.3.0/24', 'fd00:3::/64'] },
    runtimeConfig: {
      portMappings: [{ hostPort: 'PORT', containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: 8e6, ingressBurst: 8e4, egressRate: 8e6, egressBurst: 8e4 },
    },
  },
]

const functions = `
  ${stateFunctions}
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin CNI_IFNAME=eth0
  add() { # add CONTAINER PORT FOLDER CONF...
    export CNI_CONTAINERID=$1 CNI_NETNS=/run/netns/$1 CNI_PATH=$3
    local port=$2 result=null; shift 3
    for conf; do
      [[ $conf =~ \\"type\\":\\"([a-z]+)\\" ]]; plugin=\${BASH_REMATCH[1]}
      conf=\${conf//\\"PORT\\"/$port}
      result=$(CNI_COMMAND=ADD $CNI_PATH/$plugin <<< "\${conf//\\"RESULT\\"/$result}") || { echo "$result"; exit 1; }
    done
  }
`

const attachments = (...containers: string[]) =>
  containers.map(containerID => ({ containerID, ifname: 'eth0' }))

const testChain = async (t: Test, chain: readonly Json[], folder: string) => {
  const host = await PrivateHost.create(t)
  const bash = (script: string) => host.run('bash', '--norc', '-c', `${functions}\n${script}`)
  const add = (name: string, port: number) =>
    bash(`add ${name} ${port} ${folder} ${chain.map(conf => `'${JSON.stringify(conf)}'`).join(' ')}`)
  // The note of what the Go plugin has leased comes and goes as leases are read.
  const state = () => bash("state host | grep -v '/foreign '")
  const gc = async (title: string, code: number, key: Json) => {
    for (const { prevResult: _, runtimeConfig: __, ...conf } of chain) {
      const answer = await host.exec([`${ours}/${conf.type}`], {
        stdin: JSON.stringify({ ...conf, cniVersion: '1.1.0', ...key }),
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_COMMAND: 'GC', CNI_PATH: ours },
      })
      const said = answer.stdout && JSON.parse(answer.stdout)
      t.equal(said === '' ? 0 : said.code, code, `${conf.type}: ${title}: ${answer.stdout}`)
    }
  }
  for (const name of ['c0', 'c1', 'c2']) await host.netns(name)
  await host.sh('mkdir -p /run/kubenet-cni')

  // What the first container leaves for good.
  await add('c0', 8000)
  await host.sh('ip netns del c0')
  await gc('an empty list: no attachment is valid', 0, { 'cni.dev/valid-attachments': [] })
  const nobody = await state()
  await add('c2', 8002)
  const second = await state()
  t.not(second, nobody)
  await add('c1', 8001)
  const both = await state()

  await gc('without the key it is refused', 7, {})
  await gc('as without it', 7, { 'cni.dev/valid-attachments': null })
  t.equal(await state(), both, 'and nothing has changed')
  await gc('all are valid', 0, { 'cni.dev/valid-attachments': attachments('c1', 'c2') })
  await gc('all are valid, in the older spelling', 0, { 'cni.dev/attachments': attachments('c2', 'c1') })
  t.equal(await state(), both, 'what is valid stays')
  await host.sh('ip netns del c1')
  await gc('one is not valid', 0, { 'cni.dev/attachments': attachments('c2') })
  t.equal(await state(), second, 'all that it had is gone')
  await host.sh('ip netns del c2')
  await gc('none is valid', 0, { 'cni.dev/valid-attachments': [] })
  t.equal(await state(), nobody, 'nothing is left')
}

const skip = existsSync(`${peerDir}/bridge`) ? false : `${peerDir}/bridge is not installed`

t.test('GC after the Go plugins: bridge, host-local, portmap, bandwidth', { skip }, t =>
  testChain(t, goChain, peerDir),
)

t.test('GC of kubenet', t => testChain(t, kubenetChain, ours))

t.test('GC and STATUS call an IPAM plugin of another program, and report its failure', async t => {
  const host = await PrivateHost.create(t)
  await host.sh(`
    mkdir /run/bin; ln -s ${ours}/bridge /run/bin/bridge
    cat > /run/bin/theirs <<'END'
#!/bin/sh
echo "$CNI_COMMAND $(cat)" >> /run/calls
[ ! -e /run/fail ] || { echo '{"cniVersion":"1.1.0","code":100,"msg":"no pool"}'; exit 1; }
END
    chmod 755 /run/bin/theirs
  `)
  const conf = { cniVersion: '1.1.0', name: 'net', type: 'bridge', bridge: 'br0', ipam: { type: 'theirs' } }
  const text = JSON.stringify({ ...conf, 'cni.dev/valid-attachments': [] })
  const call = (command: string) =>
    host.exec(['/run/bin/bridge'], {
      stdin: text,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_COMMAND: command, CNI_PATH: '/run/bin' },
    })
  for (const command of ['GC', 'STATUS']) t.equal((await call(command)).stdout, '', command)
  t.equal(await host.sh('cat /run/calls'), `GC ${text}\nSTATUS ${text}\n`)
  await host.sh('touch /run/fail')
  for (const command of ['GC', 'STATUS']) t.match((await call(command)).stdout, /no pool/, command)
})

t.test('GC of loopback has nothing to collect, and wants the key like all others', async t => {
  const host = await PrivateHost.create(t)
  const conf = { cniVersion: '1.1.0', name: 'lo', type: 'loopback' }
  const call = (more: Json) =>
    host.exec([`${ours}/loopback`], {
      stdin: JSON.stringify({ ...conf, ...more }),
      env: { CNI_COMMAND: 'GC', CNI_PATH: ours },
    })
  t.equal((await call({ 'cni.dev/valid-attachments': [] })).code, 0)
  t.equal((await call({ 'cni.dev/attachments': [] })).code, 0)
  t.match(JSON.parse((await call({})).stdout), { code: 7 })
})
