/** docs/configuration.md is complete: every key of every plugin's schema is in its table and on its page. */
import { readFileSync } from 'node:fs'
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
    const cells = text.split('|')
    // The table of the keys of every plugin has a default and a meaning besides.
    const [keys = '', plugins = ''] = [cells[1], cells.length > 6 ? cells[4] : cells[2]]
    return {
      keys: [...keys.matchAll(/`([^`]+)`/g)].map(([, key = '']) => key),
      plugins:
        plugins.trim() === 'all'
          ? ['all']
          : [...plugins.matchAll(/\[([^\]]+)\]/g)].map(([, name = '']) => name),
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

t.test('the page of a plugin has each of its keys', async t => {
  for (const { keys, plugins, text } of rows.filter(({ plugins }) => !plugins.includes('all'))) {
    const pages = [...text.matchAll(/\]\(([^)#]+)/g)].map(([, page = '']) =>
      readFileSync(join(folder, page), 'utf8'),
    )
    t.equal(pages.length, plugins.length, text)
    for (const key of keys) {
      const name = new RegExp(`\`[^\`\n]*\\b${key.slice(key.lastIndexOf('.') + 1)}\\b[^\`\n]*\``)
      t.ok(
        pages.some(page => name.test(page)),
        `${key} of ${plugins}`,
      )
    }
  }
})
