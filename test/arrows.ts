/**
 * Imports go one way: cli, agent → node → plugins → src, and inside of src as the table says. A plugin never imports
 * another one, except kubenet, which composes them.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import t from 'tap'

const root = join(__dirname, '..')

/** What every program may use of the library. */
const library = [
  'src/build-info',
  'src/cni/error',
  'src/platform',
  'src/host',
  'src/ip',
  'src/attachment',
  'src/netlink',
  'src/netns',
  'src/netfilter',
  'src/cni',
  'src/life',
]

/** Room → the rooms below it. A room always may import from itself. */
const arrows: Record<string, readonly string[]> = {
  'src/build-info': [],
  'src/cni/error': ['src/host'],
  'src/platform': [],
  'src/host': ['src/platform'],
  'src/ip': [],
  'src/attachment': ['src/platform', 'src/host'],
  'src/netlink': ['src/platform', 'src/host', 'src/ip'],
  'src/netns': ['src/platform', 'src/host', 'src/attachment', 'src/netlink'],
  'src/netfilter': ['src/platform', 'src/host', 'src/ip', 'src/attachment', 'src/netlink', 'src/cni/error'],
  'src/cni': [
    'src/cni/error',
    'src/platform',
    'src/host',
    'src/ip',
    'src/attachment',
    'src/netns',
    'src/build-info',
  ],
  'src/life': [
    'src/platform',
    'src/host',
    'src/ip',
    'src/attachment',
    'src/netlink',
    'src/cni',
    'src/cni/error',
  ],
  'src/runtime': [
    'src/platform',
    'src/host',
    'src/ip',
    'src/attachment',
    'src/cni',
    'src/cni/error',
    'src/build-info',
  ],
  plugins: library,
  node: [...library, 'src/runtime', 'plugins'],
  cli: [...library, 'src/runtime', 'plugins', 'node', 'agent'],
  agent: [...library, 'src/runtime', 'plugins', 'node'],
}

const filesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder)).flatMap(name => {
    const path = `${folder}/${name}`
    if (statSync(join(root, path)).isDirectory()) return filesBelow(path)
    return path.endsWith('.ts') && !path.endsWith('.d.ts') ? [path] : []
  })

const roomOf = (path: string): string => {
  const [top = '', second = '', third = ''] = path.replace(/\.ts$/, '').split('/')
  // What is thrown is below all that throws it.
  if (top === 'src' && second === 'cni' && third === 'error') return 'src/cni/error'
  return top === 'src' ? `src/${second}` : top
}

const importsOf = (path: string): string[] => {
  const text = readFileSync(join(root, path), 'utf8')
  const specifiers = [...text.matchAll(/(?:from|import|require)\s*\(?\s*'([^']+)'/g)].map(
    match => match[1] ?? '',
  )
  return specifiers.flatMap(specifier => {
    if (specifier === '#platform') return ['src/platform/node']
    if (!specifier.startsWith('.')) return []
    return [normalize(relative(root, join(root, dirname(path), specifier)))]
  })
}

const files = ['src', 'plugins', 'node', 'cli', 'agent'].flatMap(filesBelow)

t.test('there is something to look at', async t => {
  t.ok(files.length > 40, `${files.length} files`)
  t.ok(importsOf('plugins/bridge/add.ts').includes('src/netlink/link'))
})

t.test('no import goes against the flow', async t => {
  for (const path of files) {
    const room = roomOf(path)
    // plugins/main.ts is the one file of every program: it starts the command line too.
    const allowed = [...(arrows[room] ?? []), ...(path === 'plugins/main.ts' ? ['cli'] : [])]
    const wrong = importsOf(path).filter(
      target => roomOf(target) !== room && !allowed.includes(roomOf(target)),
    )
    t.same(wrong, [], path)
  }
})

t.test('no plugin imports a sibling', async t => {
  for (const path of files.filter(file => file.startsWith('plugins/') && file.split('/').length > 2)) {
    const own = path.split('/')[1]
    if (own === 'kubenet') continue
    const siblings = importsOf(path).filter(
      target => target.startsWith('plugins/') && target.split('/')[1] !== own,
    )
    t.same(siblings, [], path)
  }
})

/** What is below a folder of a room, or the file that lies in the room itself. */
const partOf = (path: string): string => path.replace(/\.ts$/, '').split('/').slice(0, 2).join('/')

/** The files that put the command line together of its commands. */
const composers = ['cli/commands', 'cli/main']

t.test('no command imports the insides of another one', async t => {
  for (const path of files.filter(file => file.startsWith('cli/'))) {
    const own = partOf(path)
    if (composers.includes(own)) continue
    const others = importsOf(path).filter(
      target => target.startsWith('cli/') && ![own, 'cli/frame'].includes(partOf(target)),
    )
    t.same(others, [], path)
  }
})

t.test('one module writes and reads netlink messages with the netlink package', async t => {
  const users = files.filter(path => readFileSync(join(root, path), 'utf8').includes("from 'netlink"))
  t.same(users, ['src/netlink/wire/message.ts'])
})
