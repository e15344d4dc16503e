/** iptables-nft on a host where another program's own nft rules are in its table nat: it lists nothing of such a table. */
import t from 'tap'
import { binDir, call, flavours, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'
import { linkVariants } from '../../plugins/portmap/fixtures/port-host'

t.jobs = 2

const path = '/run/nft:/usr/sbin:/usr/bin:/sbin:/bin'

/** A set, and a map of marks: iptables has no words for that. */
const nativeRules = `nft -f - <<'EOF'
table ip nat {
  set blocked {
    type ipv4_addr
    elements = { 192.0.2.1 }
  }
  chain PREROUTING {
    type nat hook prerouting priority dstnat; policy accept;
    ip saddr @blocked accept
  }
  chain marked {
    ct mark set ip saddr map { 192.0.2.1 : 0x1 }
  }
}
EOF`

const bridge = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'bridge',
  bridge: 'br-net',
  isGateway: true,
  ipMasq: true,
  ipMasqBackend: 'iptables',
  ipam: { type: 'host-local', subnet: '10.31.0.0/24' },
}

const portmap = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'portmap',
  backend: 'iptables',
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
}

const chainOf = (type: string): Json => (type === 'bridge' ? bridge : portmap)

for (const flavour of flavours) {
  for (const [about, isFirst] of [
    ['before the first container', true],
    ['after it', false],
  ] as const) {
    t.test(`${flavour}: rules of nft in the table nat ${about}`, { buffered: true }, async t => {
      const host = await PrivateHost.create(t)
      await host.sh(linkVariants)
      await host.netns('c1')
      const run = (command: string, type: string, more: Json = {}) =>
        call(
          host,
          binDir(flavour),
          type,
          { ...chainOf(type), ...more },
          {
            command,
            netns: '/run/netns/c1',
            env: { PATH: path },
          },
        )
      if (isFirst) await host.sh(nativeRules)
      const { json: prevResult } = await run('ADD', 'bridge')
      t.equal((await run('ADD', 'portmap', { prevResult })).code, 0, 'ADD')
      if (!isFirst) await host.sh(nativeRules)
      t.match(await host.sh(`PATH=${path} iptables-save -t nat`), /is incompatible/, 'iptables lists nothing')

      for (const type of ['bridge', 'portmap']) {
        t.equal((await run('CHECK', type, { prevResult })).stdout, '', `CHECK of ${type} finds its rules`)
        t.equal((await run('STATUS', type)).stdout, '', `STATUS of ${type}: ADD works`)
      }

      await host.sh(`PATH=${path} iptables -t nat -F CNI-HOSTPORT-DNAT`)
      const check = await run('CHECK', 'portmap', { prevResult })
      t.match(check.json, {
        code: 999,
        msg: /rule is missing in the IPv4 table nat: CNI-HOSTPORT-DNAT -p tcp/,
      })

      // The record's rules are not all there: what is left cannot be told, and so must not be taken for gone.
      const del = await run('DEL', 'portmap', { prevResult })
      t.match(del.json, {
        msg: /iptables-nft-save cannot list the IPv4 table nat/,
        details: /move those to a table of another name; "nft list table ip nat" shows them/,
      })
      t.match(await host.sh('nft list table ip nat'), /chain CNI-DN-/, 'what DEL has not removed is there')

      await host.sh(
        'nft flush chain ip nat PREROUTING; nft flush chain ip nat marked; nft delete chain ip nat marked',
      )
      t.equal((await run('DEL', 'portmap', { prevResult })).code, 0, 'DEL once the table can be listed')
      t.equal((await run('DEL', 'bridge', { prevResult })).code, 0, 'DEL of bridge')
      t.notMatch(await host.sh('nft list table ip nat'), /CNI-DN-|10\.31\.0/, 'nothing is left')
    })
  }
}
