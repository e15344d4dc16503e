#!/usr/bin/env node
// Makes the Helm chart in deploy/helm/kubenet-cni from the manifests in deploy/base and its overlays:
//   node scripts/chart.mjs [FOLDER]
// A template has values only in the form {{ toJson .Values.name }}, which every Helm fills in, and so does the test.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dump, loadAll } from 'js-yaml'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = process.argv[2] ?? join(root, 'deploy/helm/kubenet-cni')
const { version, description } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const read = file => loadAll(readFileSync(join(root, 'deploy', file), 'utf8'))

/** YAML as kustomize writes it, without references and folded lines. */
const yaml = object => dump(object, { lineWidth: -1, noRefs: true })
const documents = objects => objects.map(yaml).join('---\n')

const [daemonSet] = read('base/daemonset.yaml')
const pod = daemonSet.spec.template.spec
const [agent] = pod.containers
const hostPath = name => pod.volumes.find(volume => volume.name === name).hostPath

/** A value of the chart: what it is for, and the places in the DaemonSet, each an object and its key. */
const values = {
  image: {
    about: 'Image of all containers, with its tag or digest.',
    places: [...pod.initContainers, agent].map(container => [container, 'image']),
  },
  agentArgs: {
    about: 'Options of kubenet-agent. The first is where /metrics is; ":10107" for Prometheus.',
    places: [[agent, 'args']],
  },
  agentCapabilities: {
    about: 'NET_ADMIN too, for --node-routes.',
    places: [[agent.securityContext.capabilities, 'add']],
  },
  agentResources: { about: 'Resources of the agent.', places: [[agent, 'resources']] },
  binDir: {
    about: "Folder of the plugins on the nodes. Debian's containerd has /usr/lib/cni.",
    places: [[hostPath('bin'), 'path']],
  },
  confDir: { about: 'Folder of the networks on the nodes.', places: [[hostPath('conf'), 'path']] },
  tolerations: { about: 'Taints of nodes that the pods tolerate: all.', places: [[pod, 'tolerations']] },
}

const defaults = Object.entries(values).map(([name, { about, places }]) => {
  const [[holder, key]] = places
  return `# ${about}\n${yaml({ [name]: holder[key] })}`
})
const switches = `# PodMonitor, PrometheusRule and dashboard, for the Prometheus operator and Grafana's sidecar.
monitoring: false
`

/** What an overlay's operations make of the values that they change. */
const overlayValues = overlay => {
  const changed = {
    agentArgs: [...agent.args],
    agentCapabilities: [...agent.securityContext.capabilities.add],
  }
  const container = '/spec/template/spec/containers/0'
  for (const { path, value } of read(`overlays/${overlay}/agent.yaml`).flat()) {
    if (path === `${container}/args/-`) changed.agentArgs.push(value)
    else if (path === `${container}/securityContext/capabilities/add/-`) changed.agentCapabilities.push(value)
    else throw new Error(`overlays/${overlay}: no value of the chart is at ${path}`)
  }
  return changed
}

const [listen] = read('components/monitoring/agent.yaml').flat()
const files = {
  'values-node-routes.yaml': yaml(overlayValues('node-routes')),
  'values-dual-stack.yaml': yaml(overlayValues('dual-stack')),
  'values-monitoring.yaml': yaml({ monitoring: true, agentArgs: [listen.value, ...agent.args.slice(1)] }),
}

for (const [name, { places }] of Object.entries(values))
  for (const [holder, key] of places) holder[key] = `<${name}>`

const made = '# Made by scripts/chart.mjs from deploy/: change it there.\n'
const dashboard = readFileSync(join(root, 'deploy/components/monitoring/dashboard.json'), 'utf8')
const [{ configMapGenerator }] = read('components/monitoring/kustomization.yaml')
const configMaps = configMapGenerator.map(({ name, namespace, options }) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace, labels: options.labels },
  data: { 'kubenet.json': dashboard },
}))

const written = {
  'Chart.yaml': yaml({
    apiVersion: 'v2',
    name: 'kubenet-cni',
    description,
    type: 'application',
    version,
    appVersion: version,
  }),
  'values.yaml': [...defaults, switches].join('\n'),
  ...files,
  'templates/rbac.yaml': documents(read('base/rbac.yaml')),
  'templates/daemonset.yaml': yaml(daemonSet).replaceAll(/'?<(\w+)>'?/g, '{{ toJson .Values.$1 }}'),
  // Its own braces are Prometheus' and Grafana's, so that it is no template.
  'templates/monitoring.yaml':
    '{{- if .Values.monitoring }}\n{{ .Files.Get "monitoring.yaml" }}\n{{- end }}\n',
  'monitoring.yaml': documents([
    ...configMaps,
    ...read('components/monitoring/pod-monitor.yaml'),
    ...read('components/monitoring/rules.yaml'),
  ]),
}

rmSync(folder, { recursive: true, force: true })
for (const [file, text] of Object.entries(written)) {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), made + text)
}
