import { existsSync } from 'node:fs'
import t from 'tap'
import { bridgeConf, hostWithPods } from '../../fixtures/bridge'
import { anyFlavour } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

const conf = bridgeConf('dual', { isGateway: true, ipMasq: true })

/** A PATH in which the iptables programs are those of one variant. */
const pathOf = async (host: PrivateHost, variant: string): Promise<string> => {
  await host.sh(`mkdir -p /run/${variant}; cd /run/${variant}
    for i in iptables ip6tables; do for p in $i $i-save $i-restore; do ln -s /usr/sbin/xtables-${variant}-multi $p; done; done`)
  return `/run/${variant}:/usr/sbin:/usr/bin:/sbin:/bin`
}

for (const flavour of anyFlavour) {
  for (const variant of ['legacy', 'nft']) {
    const program = `/usr/sbin/xtables-${variant}-multi`
    const skip = existsSync(program) ? {} : { skip: `${program} is not installed` }
    t.test(`[${flavour}] masquerading with iptables-${variant}`, skip, async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const env = { PATH: await pathOf(host, variant) }
      const save = async () => {
        const one = (name: string) => host.run(`/run/${variant}/${name}-save`, '-t', 'nat')
        return ((await one('iptables')) + (await one('ip6tables'))).replaceAll(/^#.*\n|\[\d+:\d+\]/gm, '')
      }
      await host.sh(
        `for i in iptables ip6tables; do /run/${variant}/$i -t nat -N x; /run/${variant}/$i -t nat -X x; done`,
      )
      const before = await save()
      const a = await pod('c1')
      const result = await a.add(conf, { env })
      const other = await a.add({ ...conf, isGateway: false }, { env, ifName: 'eth1' })
      t.equal((await save()).match(/-j CNI-/g)?.length, 4)
      const check = await a.call('CHECK', { ...conf, prevResult: result }, { env })
      t.same([check.code, check.stdout], [0, ''])
      t.equal((await a.call('DEL', { ...conf, prevResult: result }, { env })).stdout, '')
      t.equal((await a.call('CHECK', { ...conf, prevResult: other }, { env, ifName: 'eth1' })).stdout, '')
      t.equal((await a.call('DEL', conf, { env, ifName: 'eth1' })).stdout, '')
      t.equal(await save(), before)
    })
  }

  t.test(`[${flavour}] DEL and GC take what was made by the variant that is not in PATH`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const paths = new Map<string, string>()
    for (const variant of ['nft', 'legacy']) paths.set(variant, await pathOf(host, variant))
    const options = (variant: string) => ({ env: { PATH: paths.get(variant) ?? '' } })
    const save = () =>
      host.sh(
        `for v in nft legacy; do for i in iptables ip6tables; do $i-$v-save -t nat | sed '/^#/d; s/\\[[0-9:]*\\]//'; done; done`,
      )
    const a = await pod('c1')
    for (const variant of ['nft', 'legacy']) {
      await a.add(conf, options(variant))
      await a.call('DEL', conf, options(variant))
    }
    const before = await save()
    for (const [added, deleted] of [
      ['nft', 'legacy'],
      ['legacy', 'nft'],
    ] as const) {
      const result = await a.add(conf, options(added))
      t.not(await save(), before)
      t.equal((await a.call('DEL', { ...conf, prevResult: result }, options(deleted))).stdout, '')
      t.equal(await save(), before, `ADD under ${added}, DEL under ${deleted}`)

      await a.add(conf, options(added))
      t.equal((await a.call('DEL', conf, { ...options(deleted), netns: '' })).stdout, '')
      t.equal(await save(), before, `ADD under ${added}, DEL under ${deleted} without a result`)

      await a.add(conf, options(added))
      const gc = { ...conf, cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }
      t.equal((await a.call('GC', gc, options(deleted))).stdout, '')
      t.equal(await save(), before, `ADD under ${added}, GC under ${deleted}`)
    }
  })

  t.test(`[${flavour}] a lock that others hold is waited for, and then "try again later"`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const env = { PATH: await pathOf(host, 'legacy') }
    const a = await pod('c1')
    await a.add(conf, { env })
    await a.call('DEL', conf, { env })
    const before = await host.snapshot()
    // Until ADD has answered, whatever the machine's load: its undo does not get the lock either, and needs it for nothing.
    const holder = host.exec([
      'flock',
      '/run/xtables.lock',
      'sh',
      '-c',
      'touch /run/held; while [ ! -e /run/answered ]; do sleep 0.1; done',
    ])
    await host.sh('while [ ! -e /run/held ]; do sleep 0.05; done')
    const { code, json } = await a.call('ADD', conf, { env })
    t.equal(code, 1)
    t.equal(json.code, 11)
    t.match(json.msg, /iptables-restore: the xtables lock was held for 5 s/)
    await host.run('touch', '/run/answered')
    await holder
    t.equal(await host.snapshot(), before)
    t.equal(await a.link(), undefined)
    await a.add(conf, { env })
  })
}
