/** Authentication of `kubenet-agent`: a pod's service account, kubeconfigs, and the certificates of both sides. */
import { existsSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { KubernetesApi } from '../../fixtures/cluster/api-server'
import { Authority } from '../../fixtures/cluster/certificates'
import { eventually } from '../../fixtures/cluster/eventually'
import { kubeconfigOf } from '../../fixtures/cluster/kubeconfig'
import { LoneAgent } from '../../fixtures/cluster/lone-agent'
import { flavours } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const [a, b] = ['10.244.1.0/24', '10.244.2.0/24']
const node = { name: 'n1', podCIDRs: [a] }

/** Where Kubernetes puts a pod's service account. */
const accountFolder = '/run/secrets/kubernetes.io/serviceaccount'

/** Writes the files as kubelet does: the whole set at once, by a link that changes. */
const project = (folder: string, set: string, files: Record<string, string>): void => {
  mkdirSync(`${folder}/..${set}`, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(`${folder}/..${set}/${name}`, text)
  symlinkSync(`..${set}`, `${folder}/..data_tmp`)
  renameSync(`${folder}/..data_tmp`, `${folder}/..data`)
}

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet-agent`, async t => {
    const authority = new Authority(t.testdir({}))
    const server = authority.issue('kube-apiserver', 'IP:127.0.0.1,DNS:kubernetes.default.svc')

    await t.test(
      'in a pod: with the service account, whose token and authority may be exchanged',
      async t => {
        const host = await PrivateHost.create(t)
        const api = new KubernetesApi({ on: host, port: 6443, tls: server })
        api.admits = 'Bearer first'
        const account = host.path(accountFolder)
        const another = new Authority(t.testdir({})).cert
        project(account, '1', { token: 'first\n', 'ca.crt': another, namespace: 'kube-system' })
        for (const file of ['token', 'ca.crt', 'namespace'])
          symlinkSync(`..data/${file}`, `${account}/${file}`)
        const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '6443' }
        const it = await LoneAgent.start(t, { flavour, node, host, api, env, kubeconfig: null })
        t.equal((await it.agent.said('started')).cluster, 'service account, 127.0.0.1:6443')
        const { error } = await it.agent.said('the connection to the API server ended')
        t.match(error, /certificate/, 'a server without a certificate of the authority gets no request')
        t.same(api.requests, [])
        project(account, '2', { token: 'first\n', 'ca.crt': authority.cert, namespace: 'kube-system' })
        await it.ranges(a)
        await it.watching()
        api.admits = 'Bearer second'
        project(account, '3', { token: 'second', 'ca.crt': authority.cert, namespace: 'kube-system' })
        api.nodes.put({ ...node, podCIDRs: [b] })
        api.breakWatches()
        await it.ranges(b)
        t.same(api.requests, ['list 0', 'watch 1001', 'watch 1001'])
        t.same(api.callers, ['Bearer first', 'Bearer first', 'Bearer second'])
      },
    )

    await t.test('with a kubeconfig: by files it names, read again for every connection', async t => {
      const api = new KubernetesApi({
        tls: { ...server, ca: authority.cert, requestCert: true, rejectUnauthorized: false },
      })
      api.admits = 'CN=system:node:n1'
      const it = await LoneAgent.start(t, { flavour, node, api, kubeconfig: '' })
      t.match((await it.agent.said('started')).cluster, /^kubeconfig .*\/kubeconfig$/)
      const { error } = await it.agent.said('the connection to the API server ended')
      t.equal(error, `kubeconfig ${it.folder}/kubeconfig: there is no YAML object in it`)
      const { key, cert } = authority.issue('system:node:n1')
      const files = { 'ca.crt': authority.cert, 'node.key': key, 'node.crt': cert, token: 'of a file\n' }
      for (const [name, text] of Object.entries(files)) writeFileSync(`${it.folder}/${name}`, text)
      const use = (user: Record<string, unknown>, cluster: Record<string, unknown> = {}) =>
        writeFileSync(
          `${it.folder}/kubeconfig`,
          kubeconfigOf({ server: api.url, cluster: { 'certificate-authority': 'ca.crt', ...cluster }, user }),
        )
      use({ 'client-certificate': 'node.crt', 'client-key': 'node.key' })
      await it.ranges(a)
      await it.watching()
      api.admits = 'Bearer of a file'
      use({ tokenFile: 'token', token: 'of the past' })
      api.nodes.put({ ...node, podCIDRs: [b] })
      api.breakWatches()
      await it.ranges(b)
      t.same(api.callers, ['CN=system:node:n1', 'CN=system:node:n1', 'Bearer of a file'])
    })

    await t.test(
      'with a kubeconfig: by data in it, the server by another name, the token by a program',
      async t => {
        const api = new KubernetesApi({ tls: server })
        api.admits = 'Bearer of a program'
        const it = await LoneAgent.start(t, { flavour, node, api, kubeconfig: '' })
        const trusted = { 'certificate-authority-data': Buffer.from(authority.cert).toString('base64') }
        const use = (script: string, cluster: Record<string, unknown> = {}) => {
          const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args: ['-c', script] }
          writeFileSync(
            `${it.folder}/kubeconfig`,
            kubeconfigOf({ server: api.url, cluster: { ...trusted, ...cluster }, user: { exec } }),
          )
        }
        const credential = {
          apiVersion: 'client.authentication.k8s.io/v1',
          kind: 'ExecCredential',
          status: { token: 'of a program' },
        }
        const print = `echo '${JSON.stringify(credential)}'`
        use(print, { 'tls-server-name': 'another.name' })
        const refused = /another\.name|altname|ERR_TLS/i
        await eventually('a refusal', () => it.agent.log.some(({ error }) => refused.test(error)))
        use(print, { 'tls-server-name': 'kubernetes.default.svc' })
        await it.ranges(a)
        await it.watching()
        t.same(api.callers, ['Bearer of a program', 'Bearer of a program'])
        // A program that never ends must not keep the agent from ending.
        use(`touch ${it.folder}/asked; exec sleep 60`)
        api.breakWatches()
        await eventually('the program', () => existsSync(`${it.folder}/asked`))
        t.equal(await it.agent.stop(), 0)
      },
    )
  })
}
