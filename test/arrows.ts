/**
 * Data flows one way: cni/skel → plugins → netns, netfilter, ip → netlink, host → platform. Each room may import only
 * from the rooms named here; a plugin never imports another, but for kubenet, whose job is to compose them.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import t from 'tap'

const root = join(__dirname, '..')

/** Room → the rooms below it. A room always may import from itself. */
const arrows: Record<string, readonly string[]> = {
  'src/build-info': [],
  'src/platform': [],
  'src/host': ['src/platform'],
  'src/ip': [],
  'src/netlink': ['src/platform', 'src/host', 'src/ip'],
  'src/netns': ['src/platform', 'src/host'],
  'src/netfilter': ['src/platform', 'src/host', 'src/ip', 'src/netlink'],
  'src/cni': ['src/platform', 'src/host', 'src/ip', 'src/netns', 'src/build-info'],
  'src/runtime': ['src/platform', 'src/host', 'src/ip', 'src/cni', 'src/build-info'],
  plugins: [
    'src/build-info',
    'src/platform',
    'src/host',
    'src/ip',
    'src/netlink',
    'src/netns',
    'src/netfilter',
    'src/cni',
  ],
}

/** Rooms that only kubenet, which is a runtime too, may enter besides. */
const forKubenet = ['src/runtime']

const filesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder)).flatMap(name => {
    const path = `${folder}/${name}`
    if (statSync(join(root, path)).isDirectory()) return filesBelow(path)
    return path.endsWith('.ts') && !path.endsWith('.d.ts') ? [path] : []
  })

const roomOf = (path: string): string => {
  const [top = '', second = ''] = path.replace(/\.ts$/, '').split('/')
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

const files = [...filesBelow('src'), ...filesBelow('plugins')]

t.test('there is something to look at', async t => {
  t.ok(files.length > 40, `${files.length} files`)
  t.ok(importsOf('plugins/bridge/add.ts').includes('src/netlink/link'))
})

t.test('no import goes against the flow', async t => {
  for (const path of files) {
    const room = roomOf(path)
    const allowed = [...(arrows[room] ?? []), ...(path.startsWith('plugins/kubenet/') ? forKubenet : [])]
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
