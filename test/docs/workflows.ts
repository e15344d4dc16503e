/** The repository's workflows call what the documents call, with no more permission than each job needs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import yaml from 'js-yaml'
import t from 'tap'
import { isJsonObject, type JsonObject } from '../../src/cni/schema'
import { root } from './fixtures/document'

const folder = join(root, '.github/workflows')
const read = (path: string): JsonObject => {
  const found = yaml.load(readFileSync(path, 'utf8'))
  if (!isJsonObject(found)) throw new Error(`${path} is not a YAML mapping`)
  return found
}
const objectsIn = (value: unknown): JsonObject[] =>
  Object.values(isJsonObject(value) ? value : {}).filter(entry => isJsonObject(entry))

for (const name of readdirSync(folder)) {
  t.test(name, async t => {
    const workflow = read(join(folder, name))
    t.same(workflow.permissions, { contents: 'read' }, 'may only read, unless a job says more')
    for (const job of objectsIn(workflow.jobs)) {
      const steps = Array.isArray(job.steps) ? job.steps.filter(step => isJsonObject(step)) : []
      t.ok(steps.length > 0)
      for (const { run, uses } of steps) {
        const [script] = /scripts\/\w+/.exec(String(run ?? '')) ?? []
        if (script !== undefined) t.ok(existsSync(join(root, script)), script)
        if (uses !== undefined) t.match(uses, /^[\w-]+\/[\w/-]+@v\d+$/)
      }
    }
  })
}

t.test('tests run by the command of the README, on both architectures', async t => {
  t.match(readFileSync(join(folder, 'test.yml'), 'utf8'), '- run: scripts/test\n')
  t.match(read(join(folder, 'test.yml')), {
    jobs: { test: { strategy: { matrix: { machine: ['ubuntu-24.04', 'ubuntu-24.04-arm'] } } } },
  })
})

t.test('forms for issues are YAML, and each has a name and fields', async t => {
  const forms = join(root, '.github/ISSUE_TEMPLATE')
  for (const name of readdirSync(forms).filter(file => file !== 'config.yml'))
    t.match(read(join(forms, name)), { name: String, description: String, body: [{ type: String }] }, name)
})
