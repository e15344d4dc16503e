/** Thousands of host ports on one container: each verb takes time as their number grows, not as its square does. */
import t from 'tap'
import { binDir, flavours, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const few = 1000
const many = 4 * few

const container = { CNI_CONTAINERID: 'c1', CNI_IFNAME: 'eth0', CNI_NETNS: '/run/netns/c1' }

const prevResult = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: container.CNI_NETNS }],
  ips: [{ interface: 0, address: '10.22.0.2/24' }],
}

const mappings = (count: number): Json[] =>
  Array.from({ length: count }, (_, i) => ({ hostPort: 20_000 + i, containerPort: 80, protocol: 'tcp' }))

const plugins = {
  portmap: (backend: string): Json => ({ type: 'portmap', backend, prevResult }),
  kubenet: (backend: string): Json => ({ type: 'kubenet', backend, podCIDR: '10.22.0.0/24' }),
}

for (const flavour of flavours) {
  for (const type of ['portmap', 'kubenet'] as const) {
    for (const backend of ['nftables', 'iptables']) {
      t.test(`[${flavour}] ${type} with ${backend}`, async t => {
        const host = await PrivateHost.create(t)
        await host.netns('c1')
        const folder = binDir(flavour)
        /** Runs a verb, and returns the seconds of processor time that it and its programs took. */
        const timed = async (
          command: string,
          count: number,
          result?: Json,
        ): Promise<{ seconds: number; json: Json }> => {
          const conf = {
            cniVersion: '1.0.0',
            name: 'net',
            ...plugins[type](backend),
            ...(result && { prevResult: result }),
            runtimeConfig: { portMappings: mappings(count) },
          }
          const { code, stdout, stderr } = await host.exec(
            ['bash', '-c', `TIMEFORMAT='%U %S'; time ${folder}/${type} 2>/run/stderr`],
            {
              stdin: JSON.stringify(conf),
              env: {
                ...container,
                PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
                CNI_COMMAND: command,
                CNI_PATH: folder,
              },
            },
          )
          t.equal(code, 0, `${command} with ${count} ports: ${stdout}`)
          const [user, system] = stderr.trim().split('\n').at(-1)?.split(' ') ?? []
          return { seconds: Number(user) + Number(system), json: stdout ? JSON.parse(stdout) : {} }
        }
        const round = async (count: number): Promise<Record<string, number>> => {
          const added = await timed('ADD', count)
          const checked = await timed('CHECK', count, added.json)
          const deleted = await timed('DEL', count, added.json)
          return { ADD: added.seconds, CHECK: checked.seconds, DEL: deleted.seconds }
        }
        const little = await round(few)
        const much = await round(many)
        for (const [verb, seconds] of Object.entries(much)) {
          // Four times as many; sixteen times is the square.
          const limit = 8 * Math.max(little[verb] ?? 0, 0.1)
          t.ok(seconds < limit, `${verb}: ${many} ports took ${seconds} s, ${few} took ${little[verb]} s`)
        }
        t.notMatch(await host.sh('nft list ruleset'), /\b2000[0-9]\b/, 'nothing is left')
      })
    }
  }
}
