/**
 * docs/node.svg, which the README shows, is what `kubenet inspect --svg` draws of such a node. After a change that is
 * meant: KUBENET_RENEW=1 node scripts/run-tests.mjs test/docs/picture.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { binDir, type Json } from '../fixtures/cni'
import { confDir, connectHost, runKubenet } from '../fixtures/command-line'
import { PrivateHost } from '../fixtures/private-host'
import { root } from './fixtures/document'

const picture = join(root, 'docs/node.svg')

const pods: Record<string, Json> = {
  web: {
    portMappings: [
      { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
      { hostPort: 443, containerPort: 8443, protocol: 'tcp' },
    ],
  },
  api: { bandwidth: { ingressRate: 10e6, ingressBurst: 1e6, egressRate: 20e6, egressBurst: 1e6 } },
  db: {},
}

t.test('docs/node.svg is the picture of a node with three pods', async t => {
  const host = await PrivateHost.create(t)
  await connectHost(host)
  const range = '10.244.1.0/24,fd00:244:1::/64'
  await runKubenet(host, 'standalone', ['config', '--pod-cidr', range, '--write', '--cni-conf-dir', confDir])
  for (const [name, wish] of Object.entries(pods)) {
    const netns = await host.netns(name)
    const added = await runKubenet(host, 'standalone', ['add', 'kubenet', netns], {
      env: {
        CAP_ARGS: JSON.stringify(wish),
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name}`,
      },
    })
    t.equal(added.code, 0, added.stderr)
  }
  // The name of the node is the machine's, unless it has one of its own.
  const drawn = await host.sh(
    `NETCONFPATH=${confDir} unshare --uts sh -ec 'hostname node-1; ${binDir('standalone')}/kubenet inspect --svg'`,
  )
  if (process.env.KUBENET_RENEW) writeFileSync(picture, drawn)
  t.equal(drawn, readFileSync(picture, 'utf8'))
  t.match(readFileSync(join(root, 'README.md'), 'utf8'), '](docs/node.svg)')
})
