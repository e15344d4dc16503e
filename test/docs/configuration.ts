/** docs/configuration.md is complete: every key of every plugin's schema is in its table, with a way to its page. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { schemas } from '../../plugins/schemas'
import { isJsonObject } from '../../src/cni/schema'

const folder = join(__dirname, '../../docs')

const everySchema: Record<string, unknown> = schemas()

/** The keys of a schema as the page writes them: "ipam.ranges[][].subnet". */
const keysOf = (schema: unknown, path = ''): string[] => {
  if (!isJsonObject(schema)) return []
  const { properties, items } = schema
  const inside = isJsonObject(properties) ? Object.entries(properties) : []
  return [
    ...inside.flatMap(([key, value]) => {
      const full = path ? `${path}.${key}` : key
      return [full, ...keysOf(value, full)]
    }),
    ...keysOf(items, `${path}[]`),
  ]
}

type Row = { readonly keys: readonly string[]; readonly plugins: readonly string[]; readonly text: string }

const rows = readFileSync(join(folder, 'configuration.md'), 'utf8')
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map((text): Row => {
    const [, keys = '', , , plugins = ''] = text.split('|')
    return {
      keys: [...keys.matchAll(/`([^`]+)`/g)].map(([, key = '']) => key),
      plugins: [...plugins.matchAll(/\[([^\]]+)\]/g)].map(([, name = '']) => name),
      text,
    }
  })

for (const [plugin, schema] of Object.entries(everySchema)) {
  t.test(`every key of ${plugin} is in the table`, async t => {
    const listed = rows
      .filter(({ plugins }) => plugins.includes(plugin) || plugins.includes('all'))
      .flatMap(({ keys }) => keys)
    const keys = keysOf(schema)
    t.ok(keys.includes('cniVersion'))
    t.same(
      keys.filter(key => !listed.includes(key)),
      [],
    )
  })
}

t.test('the table has no key that no plugin reads, and none twice for one plugin', async t => {
  const known = new Set(Object.values(everySchema).flatMap(schema => keysOf(schema)))
  const listed = rows.flatMap(({ keys, plugins }) =>
    keys.flatMap(key => plugins.map(plugin => `${key} of ${plugin}`)),
  )
  t.same(
    rows.flatMap(({ keys }) => keys).filter(key => !known.has(key)),
    [],
  )
  t.same(
    listed.filter((entry, index) => listed.indexOf(entry) !== index),
    [],
  )
})

t.test('the pages it leads to are there', async t => {
  for (const { plugins, text } of rows) {
    const pages = [...text.matchAll(/\]\(([^)#]+)/g)].map(([, page = '']) => page)
    t.ok(pages.length >= plugins.length && plugins.length > 0, text)
    t.same(
      pages.filter(page => !existsSync(join(folder, page))),
      [],
      text,
    )
  }
})
