/** A failed ADD of kubenet leaves nothing, whichever step refuses; and DEL knows what the other backend made. */
import t from 'tap'
import { type CallOptions, flavours, type Json } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'

const tcp = (hostPort: number): Json => ({ hostPort, containerPort: 80, protocol: 'tcp' })

const rate = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 }

const wishes = {
  portMappings: [tcp(8080), { hostPort: 5353, containerPort: 53, protocol: 'udp' }],
  bandwidth: rate,
}

type Obstacle = {
  step: string
  /** Shell scripts that put it in the way, and take it away. */
  put?: string
  away?: string
  conf?: Json
  options?: CallOptions
  code: number
  says: RegExp
}

const names =
  'for i in podsweb "$(printf "pods\\nweb\\neth0")"; do printf %s "$i" | sha512sum | cut -c 1-12; done'

const obstacles: Obstacle[] = [
  {
    step: 'a namespace that is not there',
    options: { netns: '/run/netns/none' },
    code: 3,
    says: /\/run\/netns\/none/,
  },
  {
    step: 'a bridge that is none',
    conf: { bridge: 'up0' },
    code: 7,
    says: /"up0" already exists but is not a bridge/,
  },
  {
    step: 'an interface of the container that is there already',
    put: 'ip -n web link add eth0 type ifb',
    away: 'ip -n web link del eth0',
    code: 999,
    says: /container veth name \("eth0"\) .* already exists/,
  },
  {
    step: 'leases that cannot be written',
    put: 'mount --bind /var/lib/cni/networks /var/lib/cni/networks; mount -o remount,bind,ro /var/lib/cni/networks',
    away: 'umount /var/lib/cni/networks',
    code: 5,
    says: /read-only file system/,
  },
  {
    step: 'an address of another range',
    conf: { runtimeConfig: { ...wishes, ips: ['10.99.0.1'] } },
    code: 7,
    says: /10\.99\.0\.1/,
  },
  {
    step: 'an address that another has',
    conf: { runtimeConfig: { ...wishes, ips: ['10.244.1.2'] } },
    code: 11,
    says: /10\.244\.1\.2/,
  },
  {
    step: 'a host port that another has',
    conf: { runtimeConfig: { ...wishes, portMappings: [tcp(8081), tcp(9090)] } },
    code: 7,
    says: /host port 9090\/tcp is taken by container keeper/,
  },
  {
    step: 'a packet filter with another’s set in it',
    put: 'nft flush ruleset; nft add table inet kubenet; nft add set inet kubenet pods4-pods "{ type ether_addr; }"',
    away: 'nft flush ruleset',
    code: 999,
    says: /pods4-pods/,
  },
  {
    step: 'a rate without a burst',
    conf: { runtimeConfig: { ...wishes, bandwidth: { ingressRate: 8_000_000 } } },
    code: 7,
    says: /burst/i,
  },
  {
    step: 'interfaces in the place of the one that shapes',
    put: `for n in $(${names}); do ip link add bwp$n type bridge; done`,
    away: `for n in $(${names}); do ip link del bwp$n; done`,
    code: 999,
    says: /bwp/,
  },
]

/** All that an ADD may change, on the host and in the container. */
const state = async ({ host }: Node): Promise<string> => {
  const more = await host.sh(`
    ls /run/kubenet-cni/hostports/claims /run/kubenet-cni/hostports/owners; tc qdisc | sed 's/refcnt [0-9]* //' | sort
    ip -n web -o link | sed -E 's/ state.*//'; ip -n web -o addr; ip -n web route; ip -n web -6 route`)
  return `${await host.snapshot()}${more}`
}

for (const flavour of flavours) {
  t.test(`[${flavour}] an ADD that fails leaves nothing`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await host.netns('web')
    // The kernel leaves its addresses to a loopback interface that was up once.
    await host.sh('ip -n web link set lo up; ip -n web link set lo down')
    await node.add('keeper', kubenetConf({ runtimeConfig: { portMappings: [tcp(9090)] } }))
    const whole = await host.run('nft', '-s', 'list', 'ruleset')
    const before = await state(node)
    for (const { step, put, away, conf = {}, options = {}, code, says } of obstacles) {
      await t.test(`at ${step}`, async t => {
        if (put) await host.sh(put)
        const { json, ...answer } = await node.call(
          'ADD',
          'web',
          kubenetConf({ runtimeConfig: wishes, ...conf }),
          options,
        )
        t.match(
          { exit: answer.code, code: json?.code, said: `${json?.msg}; ${json?.details}` },
          { exit: 1, code, said: says },
        )
        if (away) await host.sh(away)
        if (away?.includes('flush')) await host.exec(['nft', '-f', '-'], { stdin: whole })
        t.equal(await state(node), before)
      })
    }
    await t.test('and without the obstacle it works', async t => {
      const conf = kubenetConf({ runtimeConfig: wishes })
      const { code, json } = await node.call('ADD', 'web', conf)
      t.equal(code, 0)
      t.same((await node.call('CHECK', 'web', { ...conf, prevResult: json })).stdout, '')
    })
  })

  // In the Node.js flavour the same code runs.
  if (flavour === 'node') continue
  t.test(`[${flavour}] DEL with one backend removes what ADD made with the other`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    const conf = (backend: string, more: Json = {}) =>
      kubenetConf({ backend, runtimeConfig: wishes, ...more })
    // What stays of either backend: the bridge, the frame of the table, iptables' shared chains.
    for (const backend of ['nftables', 'iptables']) {
      const prevResult = await node.add(`former-${backend}`, conf(backend))
      await node.del(`former-${backend}`, conf(backend, { prevResult }))
    }
    const before = await host.snapshot()
    for (const [first, second, knows] of [
      ['nftables', 'iptables', true],
      ['iptables', 'nftables', true],
      ['nftables', 'iptables', false],
      ['iptables', 'nftables', false],
    ] as const) {
      await t.test(
        `${first}, then ${second}${knows ? '' : ', without prevResult and namespace'}`,
        async t => {
          const name = `${first}-${knows}`
          const prevResult = await node.add(name, conf(first))
          const made = first === 'nftables' ? `tcp . 8080 comment "pods ${name} eth0"` : /dport 8080/
          t.match(await host.run('nft', '-s', 'list', 'ruleset'), made)
          if (knows) await node.del(name, conf(second, { prevResult }))
          else await node.del(name, kubenetConf({ backend: second }), { netns: '' })
          t.equal(await host.snapshot(), before)
          t.equal(await host.sh('ls /run/kubenet-cni/hostports/claims'), '')
        },
      )
    }
  })
}
