/**
 * What the documents tell to type or to configure, where it is not run as a whole (commands.ts does that): each
 * command line is one that `kubenet` takes, each configuration one that its plugin takes, and no block is neither.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as v from 'valibot'
import { commands } from '../../cli/commands'
import { parseCommandLine } from '../../node/command/parse'
import { bandwidthSchema } from '../../plugins/bandwidth/config'
import { bridgeSchema } from '../../plugins/bridge/config'
import { hostLocalSchema } from '../../plugins/host-local/config'
import { kubenetSchema } from '../../plugins/kubenet/config'
import { portmapSchema } from '../../plugins/portmap/config'
import { commonEntries, isJsonObject } from '../../src/cni/schema'
import { documents, pages as paths, root } from './fixtures/document'

const pages = paths.map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))

/** Does commands.ts run its blocks? */
const isRun = (page: string): boolean => documents.some(({ path }) => path === page)

type Line = { readonly place: string; readonly line: string }

const blocks = /^(?:(<!-- .* -->)\n)?```(\w*)\n(.*?)^```$/gms

const lineNumber = (text: string, index: number): number => text.slice(0, index).split('\n').length

/** The `kubenet …` of a text: in code between backticks, and on the lines of its blocks. */
const commandLinesOf = ({ path, text }: { path: string; text: string }): Line[] => {
  const found: Line[] = []
  for (const { index, 3: inside = '' } of text.matchAll(blocks)) {
    // A last "\" continues a line.
    if (isRun(path)) continue
    for (const line of inside.replaceAll(/\\\n/g, ' ').split('\n')) {
      if (/^(\$ )?(\w+=\S+ )*kubenet /.test(line)) {
        found.push({ place: `${path}:${lineNumber(text, index)}`, line: line.replace(/^\$ /, '') })
      }
    }
  }
  for (const { index, 1: line = '' } of text.replaceAll(blocks, '').matchAll(/`(kubenet [a-z][^`]*)`/g)) {
    found.push({ place: `${path}, ${index}`, line: line.replaceAll('\n', ' ') })
  }
  return found
}

/** A line's own words up to the first that belongs to the shell; "…" and NAMES stand for values. */
const wordsOf = (line: string): string[] => {
  const [alone = ''] = line
    .replace(/^(\w+=('[^']*'|\S+) )*/, '')
    .replaceAll(/\$\([^)]*\)/g, 'X')
    .split(/ (?:#|\||&&|>|>>|2>|;) ?| >/)
  return [...alone.matchAll(/"([^"]*)"|'([^']*)'|([^\s"']+)/g)]
    .map(([, a, b, c]) => a ?? b ?? c ?? '')
    .slice(1)
}

/** Placeholders of a synopsis: `kubenet why <ip|container>`. */
const isSynopsis = (line: string): boolean => /[[<]|…$|\.\.\./.test(line)

/** Has a value to be put in its place: NAME, `<file>`, "…"? */
const isPlaceholder = (text: string): boolean => /^[A-Z_]+$|[<…]/.test(text)

for (const page of pages) {
  const lines = commandLinesOf(page).filter(({ line }) => !isSynopsis(line))
  if (lines.length === 0) continue
  t.test(`${page.path}: kubenet takes its ${lines.length} command lines`, async t => {
    for (const { place, line } of lines) {
      const words = wordsOf(line)
      // The name of a command, in a sentence.
      if (words.length === 1 && commands.some(({ name }) => name === words[0])) continue
      t.doesNotThrow(() => {
        const parsed = parseCommandLine(commands, words)
        if (parsed.kind !== 'run') return
        for (const option of parsed.command.options) {
          const given = parsed.given.options.get(option.key) ?? []
          if (!given.some(isPlaceholder)) option.read(given, option.name)
        }
      }, `${place}: ${line}`)
    }
  })
}

const schemas: Record<string, v.GenericSchema> = {
  bandwidth: bandwidthSchema,
  bridge: bridgeSchema,
  'host-local': hostLocalSchema,
  kubenet: kubenetSchema,
  loopback: v.looseObject(commonEntries),
  portmap: portmapSchema,
}

t.test('every configuration is one that its plugin takes', async t => {
  const tried = new Set<string>()
  for (const { path, text } of pages) {
    for (const { index, 2: language, 3: inside = '' } of text.matchAll(blocks)) {
      if (language !== 'json') continue
      const place = `${path}:${lineNumber(text, index)}`
      const read: unknown = JSON.parse(inside)
      if (!isJsonObject(read)) t.fail(`${place} is no object`)
      else {
        const list = Array.isArray(read.plugins) ? read.plugins : [read]
        for (const plugin of list) {
          if (!isJsonObject(plugin) || typeof plugin.type !== 'string') continue
          const { cniVersion = '1.0.0', name = 'pods' } = read
          const schema = schemas[plugin.type]
          if (!schema) t.fail(`${place}: there is no plugin "${plugin.type}"`)
          else
            t.doesNotThrow(() => v.parse(schema, { cniVersion, name, ...plugin }), `${place}: ${plugin.type}`)
          tried.add(plugin.type)
        }
      }
    }
  }
  t.same([...tried].sort(), ['bandwidth', 'bridge', 'kubenet', 'loopback', 'portmap'])
})

t.test(
  'what is to be typed is run by commands.ts, or taken by kubenet, or says why it is not run',
  async t => {
    const run = documents.map(({ path }) => path)
    for (const { path, text } of pages.filter(page => !run.includes(page.path))) {
      for (const { index, 1: directive, 2: language = '', 3: inside = '' } of text.matchAll(blocks)) {
        if (!['sh', 'console', 'bash'].includes(language)) continue
        const lines = inside.trimEnd().split('\n')
        const known = lines.every(line =>
          /^(\$ )?(\w+=\S+ )*kubenet |^(ip netns add|CAP_ARGS=|source <\(kubenet )/.test(line),
        )
        t.ok(
          known || directive?.startsWith('<!-- not run: '),
          `${path}:${lineNumber(text, index)}: ${lines[0]}`,
        )
      }
    }
  },
)
