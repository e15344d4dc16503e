import { type Answer, command, required } from '../node/command/command'
import { CliError, ExitCode } from '../node/command/failure'
import type { Style } from '../node/command/style'
import type { Key } from './frame/keys/keys'
import { nearest } from './frame/keys/nearest'

/** "ipam.ranges[0][0].subnet" as the keys have it: "ipam.ranges.subnet", in small letters. */
const plain = (path: string): string => path.replace(/\[\d*\]/g, '').toLowerCase()

/** The keys of that path, else those of which it is the end. */
const meantBy = (wanted: string, keys: readonly Key[]): Key[] => {
  const whole = keys.filter(({ path }) => plain(path) === wanted)
  return whole.length > 0 ? whole : keys.filter(({ path }) => plain(path).endsWith(`.${wanted}`))
}

/** Every plugin has these, with one meaning. */
const withoutRepeats = (keys: readonly Key[]): Key[] => {
  const seen = new Set<string>()
  return keys.filter(key => {
    const { plugin: _, ...rest } = key
    const text = JSON.stringify(rest)
    return !seen.has(text) && seen.add(text)
  })
}

const describe = (key: Key, style: Style): string => {
  const lines: readonly (readonly [string, string])[] = [
    ['plugin', key.plugin],
    ['type', key.type],
    ['default', key.default],
    ['unit', key.unit],
    ['example', key.example],
  ]
  const facts = lines.filter(([, text]) => text !== '').map(([name, text]) => `  ${name.padEnd(8)} ${text}\n`)
  return `${style.bold(key.path)}\n${key.about ? `  ${key.about}\n` : ''}${facts.join('')}`
}

const answerOf = (keys: readonly Key[]): Answer => ({
  json: { keys },
  text: style => keys.map(key => describe(key, style)).join('\n'),
})

export const explain = command({
  name: 'explain',
  group: 'Set up a node',
  summary: 'explain a key of a network configuration',
  about: [
    'Prints type, default, unit and an example. KEY may begin with a plugin, and may be a part of a path.',
  ],
  args: { key: required('a key, or a plugin: mtu, bridge.isGateway, ipam.ranges.subnet') },
  examples: [
    { line: 'kubenet explain bridge.isGateway', does: 'one key of a plugin' },
    { line: 'kubenet explain portmap', does: 'all keys of a plugin' },
  ],
  run: async ({ args: { key } }) => {
    const [{ keysOf }, { pluginNames: names }] = await Promise.all([
      import('./frame/keys/keys.js'),
      import('../plugins/schemas.js'),
    ])
    const [first = '', ...rest] = key.split('.')
    const plugin = names.find(name => name === first)
    const keys = names.filter(name => plugin === undefined || name === plugin).flatMap(keysOf)
    // "bridge" is a plugin, and a key of it.
    const wanted = plain(plugin !== undefined && rest.length > 0 ? rest.join('.') : key)
    const found = plugin !== undefined && rest.length === 0 ? keys : meantBy(wanted, keys)
    if (found.length > 0) return answerOf(withoutRepeats(found))
    const known = keys.flatMap(({ path }) => [plain(path), plain(path).split('.').at(-1) ?? ''])
    const near = nearest(wanted, known)
    const [meant] = near === undefined ? [] : meantBy(near, keys)
    throw new CliError(
      ExitCode.notFound,
      `no key ${JSON.stringify(key)}${meant ? `; did you mean "${meant.plugin}.${meant.path}"?` : ''}`,
      `"kubenet explain ${plugin ?? 'bridge'}" prints all keys of a plugin`,
    )
  },
})
