/** Networks whose long names begin alike are two: GC of one takes nothing of the other's. */
import t from 'tap'
import { anyFlavour, binDir, call, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

/** Longer than what there is room for in a comment, and different only behind that. */
const nameOf = (digit: number): string => `${'a'.repeat(110)}${digit}`

const idOf = (digit: number): string => `${'c'.repeat(63)}${digit}`

const confOf = (digit: number, more: Json = {}): Json => ({
  cniVersion: '1.1.0',
  name: nameOf(digit),
  type: 'kubenet',
  bridge: `br${digit}`,
  podCIDR: `10.6${digit}.0.0/24`,
  capabilities: { portMappings: true },
  ...more,
})

const withPort = (hostPort: number): Json => ({
  runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
})

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] GC of kubenet networks whose long names begin alike`, async t => {
    const host = await PrivateHost.create(t)
    const folder = binDir(flavour)
    for (const digit of [1, 2]) {
      const netns = await host.netns(`pod${digit}`)
      const added = await call(host, folder, 'kubenet', confOf(digit, withPort(8080 + digit)), {
        containerID: idOf(digit),
        netns,
      })
      t.equal(added.code, 0, added.stdout)
    }
    const ports = () => host.sh("nft list ruleset | grep -oE 'tcp \\. 808[12]' | sort -u || true")
    const collect = (digit: number, valid: object[]) =>
      call(host, folder, 'kubenet', confOf(digit, { 'cni.dev/valid-attachments': valid }), { command: 'GC' })

    t.equal(await ports(), 'tcp . 8081\ntcp . 8082\n')
    t.equal((await collect(1, [{ containerID: idOf(1), ifname: 'eth0' }])).code, 0)
    t.equal(await ports(), 'tcp . 8081\ntcp . 8082\n', 'both are valid')
    t.equal((await collect(1, [])).code, 0)
    t.equal(await ports(), 'tcp . 8082\n', 'its own goes')
  })
}
