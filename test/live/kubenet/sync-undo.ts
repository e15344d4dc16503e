/** kubenet sync: a repair that fails half-way leaves the container as it was. */
import t from 'tap'
import { anyFlavour } from '../../fixtures/cni'
import { runKubenet } from '../../fixtures/command-line'
import { dualCIDRs, Node } from '../../fixtures/kubenet'

const ranges = dualCIDRs.map(subnet => [{ subnet }])
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
const ipam = { type: 'host-local', ranges }
const list = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    { type: 'bridge', isGateway: true, ipMasq: true, ipMasqBackend: 'iptables', ipam },
    { type: 'portmap', backend: 'iptables', capabilities: { portMappings: true } },
  ],
}

/** Programs in front of the real ones: those of IPv6 refuse what a file of the host forbids. */
const guards = `
  mkdir -p /run/bin /run/net.d
  real=$(command -v ip6tables-restore)
  printf '#!/bin/sh\\n[ ! -e /run/refuse ] || { echo no >&2; exit 4; }\\nexec %s "$@"\\n' $real > /run/bin/ip6tables-restore
  chmod +x /run/bin/ip6tables-restore
`
const env = { PATH: '/run/bin:/usr/sbin:/usr/bin:/sbin:/bin', CAP_ARGS: JSON.stringify({ portMappings }) }

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] rules of one family, where those of the other cannot be made, go again`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await host.sh(guards)
    await host.exec(['sh', '-c', 'cat > /run/net.d/10-pods.conflist'], { stdin: JSON.stringify(list) })
    const kubenet = (...args: string[]) => runKubenet(host, flavour, args, { env })
    await host.netns('web')
    t.equal((await kubenet('add', 'pods', '/run/netns/web')).code, 0)
    const whole = await host.snapshot()
    const claims = () => host.sh('find /run/kubenet-cni/hostports -type f ! -name lock | sort')
    const claimed = await claims()

    await host.sh('nft flush ruleset; touch /run/refuse')
    const flushed = await host.snapshot()
    const failed = await kubenet('sync', '--json')
    t.equal(failed.code, 1, failed.stderr)
    const [web] = JSON.parse(failed.stdout).attachments
    t.equal(web.state, 'failed')
    t.match(JSON.stringify(web.failures), /ip6tables-restore/)
    const own = (rules: string) => rules.split('\n').filter(line => /CNI-(DN-)?[0-9a-f]{20}/.test(line))
    t.same(own(await host.snapshot()), own(flushed), 'no rule of the container is half made')
    t.equal(await claims(), claimed, 'its host ports are still its own')

    await host.sh('rm /run/refuse')
    t.equal((await kubenet('sync')).code, 0)
    const sorted = (state: string) => state.split('\n').sort()
    t.same(sorted(await host.snapshot()), sorted(whole), 'the next one repairs all')
  })

  t.test(`[${flavour}] the existing part of a half stays`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await host.sh(guards)
    const [bridge] = list.plugins
    await host.exec(['sh', '-c', 'cat > /run/net.d/10-pods.conflist'], {
      stdin: JSON.stringify({ ...list, plugins: [bridge] }),
    })
    const kubenet = (...args: string[]) => runKubenet(host, flavour, args, { env })
    await host.netns('web')
    t.equal((await kubenet('add', 'pods', '/run/netns/web')).code, 0)
    await host.sh('nft flush table ip6 nat; touch /run/refuse')
    const before = await host.run('iptables-save', '-t', 'nat')
    t.match(before, /MASQUERADE/)
    t.equal((await kubenet('sync')).code, 1)
    const rules = (text: string) => text.split('\n').filter(line => line.startsWith('-A'))
    t.same(
      rules(await host.run('iptables-save', '-t', 'nat')),
      rules(before),
      'the running pod keeps its rules',
    )
  })
}
