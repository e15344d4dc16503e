/** The Helm chart is what scripts make of deploy/: made again it is the same, and filled in it has the same objects. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load, loadAll } from 'js-yaml'
import t from 'tap'
import { deployPath, manifestsOf, patchedBy } from '../../fixtures/cluster/manifests'
import type { Json } from '../../fixtures/cni'
import { dashboard, podMonitor, prometheusRule } from '../../fixtures/monitoring'

const chart = deployPath('helm/kubenet-cni')
const read = (file: string): string => readFileSync(`${chart}/${file}`, 'utf8')
const valuesIn = (file: string): Json => load(read(file))
const defaults = valuesIn('values.yaml')

/** A template filled in as Helm does it. It has nothing else in braces. */
const rendered = (template: string, values: Json): Json[] => {
  const text = read(`templates/${template}`).replaceAll(/\{\{ toJson \.Values\.(\w+) \}\}/g, (_, name) =>
    JSON.stringify(values[name]),
  )
  t.notMatch(text, /\{\{|undefined/, template)
  return loadAll(text)
}

t.test('the script makes the same files again', async t => {
  const folder = join(t.testdir({}), 'chart')
  execFileSync(process.execPath, [join(__dirname, '../../../scripts/chart.mjs'), folder])
  const files = readdirSync(folder, { recursive: true }).map(String).toSorted()
  t.same(files, readdirSync(chart, { recursive: true }).map(String).toSorted())
  for (const file of files.filter(name => name.endsWith('.yaml')))
    t.equal(readFileSync(`${folder}/${file}`, 'utf8'), read(file), file)
})

t.test('with its own values it is the base', async t => {
  t.same(rendered('daemonset.yaml', defaults), manifestsOf('base/daemonset.yaml'))
  t.same(rendered('rbac.yaml', defaults), manifestsOf('base/rbac.yaml'))
})

t.test('with the values of an overlay it is the overlay', async t => {
  for (const overlay of ['node-routes', 'dual-stack'])
    t.same(
      rendered('daemonset.yaml', { ...defaults, ...valuesIn(`values-${overlay}.yaml`) }),
      [patchedBy(overlay)],
      overlay,
    )
})

t.test('another folder for the plugins is mounted in place of the usual one', async t => {
  const [{ spec }] = rendered('daemonset.yaml', { ...defaults, binDir: '/usr/lib/cni' })
  const { hostPath } = spec.template.spec.volumes.find(({ name }: Json) => name === 'bin')
  t.equal(hostPath.path, '/usr/lib/cni')
})

t.test('monitoring comes with its value, unchanged by Helm', async t => {
  const values = { ...defaults, ...valuesIn('values-monitoring.yaml') }
  t.same([defaults.monitoring, values.monitoring], [false, true])
  t.same(rendered('daemonset.yaml', values)[0].spec.template.spec.containers[0].args, ['--listen=:10107'])
  const [, ...lines] = read('templates/monitoring.yaml').trimEnd().split('\n')
  t.same(lines, ['{{- if .Values.monitoring }}', '{{ .Files.Get "monitoring.yaml" }}', '{{- end }}'])
  const [configMap, ...others] = loadAll(read('monitoring.yaml')) as Json[]
  t.same(others, [podMonitor, prometheusRule])
  t.same(JSON.parse(configMap.data['kubenet.json']), dashboard)
  t.same(configMap.metadata.labels, { grafana_dashboard: '1' })
})
