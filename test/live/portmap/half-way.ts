/**
 * DEL that is refused half-way: it says so, what it could not remove keeps its ports, and a second DEL or GC ends it.
 */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { PortHost } from '../../plugins/portmap/fixtures/port-host'

/** Programs of iptables that read rules of IPv4 and refuse those of IPv6, as a policy of SELinux or seccomp makes them. */
const refusing = `
  mkdir -p /run/refusing
  for program in ip6tables ip6tables-restore ip6tables-nft ip6tables-nft-restore; do
    printf '%s\\n' '#!/bin/sh' 'cat > /dev/null; echo "$0: Permission denied" >&2; exit 4' > /run/refusing/$program
    chmod 755 /run/refusing/$program
  done
`

const mappings = ['8080:80/tcp', '8053:53/udp']

for (const flavour of flavours) {
  t.test(`[${flavour}] iptables refuses the rules of one family`, async t => {
    const host = await PortHost.create(t, { flavour })
    await host.host.sh(refusing)
    const path = `/run/refusing:${host.path}`
    const [first, other] = [host.paperPod('c1'), host.paperPod('c2')]
    const conf = first.conf(mappings, { cniVersion: '1.1.0', backend: 'iptables' })
    // What a container leaves for good: the shared chains.
    await first.must('ADD', conf)
    await first.must('DEL', conf)
    const empty = await host.state()

    const ways: [string, () => Promise<unknown>][] = [
      ['a second DEL', () => first.must('DEL', conf)],
      ['a second DEL without a result', () => first.must('DEL', { ...conf, prevResult: undefined })],
      ['GC', () => first.must('GC', { ...conf, 'cni.dev/valid-attachments': [] })],
    ]
    for (const [way, end] of ways) {
      await first.must('ADD', conf)
      const refused = await first.call('DEL', conf, { env: { PATH: path } })
      t.equal(refused.code, 1, `DEL is refused before ${way}`)
      t.match(refused.json, { code: Number, msg: String, details: /Permission denied/ })
      const half = await host.nat()
      t.match(half, /^-A CNI-DN-\S+ .*to-destination \[fd00:22::2\]:80/m, 'rules of IPv6 are left')
      const taken = await other.call('ADD', other.conf(mappings, { backend: 'iptables' }))
      t.match(taken.json as Json, { code: Number, msg: /8080/ }, 'its ports are not given to another')
      await end()
      t.equal(await host.state(), empty, `${way} ends it`)
    }
  })
}
