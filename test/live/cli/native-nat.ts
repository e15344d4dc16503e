/** `kubenet doctor` on a host where iptables-nft cannot list its table nat, as another program's nft rules are in it. */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { capabilities, confDir, connectHost, jsonOf, runKubenet } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'
import { linkVariants } from '../../plugins/portmap/fixtures/port-host'

const path = '/run/nft:/usr/sbin:/usr/bin:/sbin:/bin'

const network = {
  cniVersion: '1.1.0',
  name: 'net',
  plugins: [
    {
      type: 'bridge',
      bridge: 'br-net',
      isGateway: true,
      ipMasq: true,
      ipMasqBackend: 'iptables',
      hairpinMode: true,
      ipam: { type: 'host-local', subnet: '10.31.0.0/24', routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', backend: 'iptables', capabilities: { portMappings: true } },
  ],
}

/** A map of marks: iptables has no words for that. */
const nativeRules = (family: string, table: string, address: string): string =>
  `nft add chain ${family} ${table} marked
   nft "add rule ${family} ${table} marked ct mark set ${family} saddr map { ${address} : 0x1 }"`

const switchOff =
  'for file in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $file ] || echo 0 > $file; done'

for (const flavour of flavours) {
  t.test(`[${flavour}] rules of nft in tables of iptables`, async t => {
    const host = await PrivateHost.create(t)
    await host.sh(`${linkVariants} mkdir -p ${confDir}`)
    await host.exec(['sh', '-c', `cat > ${confDir}/10-net.conflist`], { stdin: JSON.stringify(network) })
    await connectHost(host)
    const kubenet = (args: readonly string[], env: Record<string, string> = {}) =>
      runKubenet(host, flavour, args, { env: { PATH: path, ...env } })
    const doctor = async (): Promise<Json[]> => jsonOf(await kubenet(['doctor', '--json'])).lines
    await host.netns('blue')
    const added = await kubenet(
      ['add', 'net', '/run/netns/blue', '--container-id', 'blue'],
      capabilities(8080),
    )
    t.equal(added.code, 0, added.stderr)
    // What is younger than two seconds may be in the middle of its ADD.
    await host.sh('sleep 2.1')
    const about = (lines: readonly Json[]) =>
      lines
        .filter(({ check, status }) => ['rules', 'host ports'].includes(check) && status !== 'ok')
        .map(({ says }) => says)

    await t.test('a table nat that cannot be listed: nothing is called missing', async t => {
      await host.sh(nativeRules('ip', 'nat', '192.0.2.1'))
      t.match(await host.sh(`PATH=${path} iptables-save`), /Table `nat' is incompatible/)
      // Bridged packets that do not pass iptables matter to services, which the doctor cannot see now.
      await host.sh(switchOff)
      const lines = await doctor()
      t.same(about(lines), [])
      t.match(
        lines
          .filter(({ status, check }) => status === 'unknown' && check === 'survey')
          .map(({ says }) => says),
        [/^the IPv4 table nat of iptables could not be read: it has rules of nft/],
      )
      t.match(
        lines.filter(({ check }) => check === 'br_netfilter'),
        [{ status: 'unknown', says: /services of Kubernetes need it, and not all rules/ }],
      )
    })

    await t.test('once it can be listed, a rule that is missing is named', async t => {
      await host.sh('nft flush chain ip nat marked; nft delete chain ip nat marked')
      const [bridged] = (await doctor()).filter(({ check }) => check === 'br_netfilter')
      t.equal(bridged.status, 'ok', 'there are no services')
      t.same(about(await doctor()), [])
      await host.sh(`PATH=${path} iptables -t nat -F CNI-HOSTPORT-DNAT`)
      t.match(about(await doctor()), [/host port 8080\/tcp/])
    })

    await t.test('a table filter that cannot be listed: whether packets may pass is not known', async t => {
      const forward = async (): Promise<Json[]> =>
        (await doctor()).filter(({ check }) => check === 'forward filter')
      t.match(await forward(), [{ status: 'ok' }])
      await host.sh(`PATH=${path} iptables -I FORWARD -j ACCEPT; ${nativeRules('ip', 'filter', '192.0.2.1')}`)
      t.match(await forward(), [{ status: 'unknown', says: /the table filter could not be read/ }])
    })
  })
}
