import { execFileSync } from 'node:child_process'
import t from 'tap'
import { CniError } from '../../../src/cni/error'
import { findConfList, readConfDir, readConfList } from '../../../src/runtime/conf-dir'

const list = (name: string, ...types: string[]) =>
  JSON.stringify({ cniVersion: '1.0.0', name, plugins: types.map(type => ({ type })) })

const single = (name: string, type: string) => JSON.stringify({ cniVersion: '1.0.0', name, type })

const failureOf = (work: () => unknown): string => {
  try {
    work()
    return 'no failure'
  } catch (error) {
    const { code, message } = CniError.from(error)
    return `${code} ${message}`
  }
}

/** Reads a folder and answers the networks' names and what was said of the others, folder left out. */
const read = (confDir: string) => {
  const broken: string[] = []
  const lists = readConfDir({
    confDir,
    onBroken: failure => broken.push(failure.message.replace(`${confDir}/`, '')),
  })
  return { names: lists.map(({ name }) => name), broken }
}

t.test('readConfDir() reads the three extensions in lexical order', async t => {
  const confDir = t.testdir({
    '30-c.conflist': list('c', 'bridge'),
    '10-a.conf': single('a', 'bridge'),
    '20-b.json': single('b', 'bridge'),
    '05-no.conflist.bak': list('backup', 'bridge'),
    '05-no.yaml': 'a: b',
    'sub.conflist': { '10-deep.conflist': list('deep', 'bridge') },
  })
  t.same(read(confDir), { names: ['a', 'b', 'c'], broken: [] })
})

t.test('readConfDir() skips a broken file, saying which and where', async t => {
  const confDir = t.testdir({
    '00-empty.conflist': '',
    '10-comma.conflist': '{\n  "name": "comma",\n  "plugins": [ { "type": "bridge" }, ]\n}\n',
    '20-nameless.conf': '{"type":"bridge"}',
    '30-dangling.conf': t.fixture('symlink', 'nowhere'),
    '40-folder.conf': t.fixture('symlink', 'folder'),
    '50-good.conflist': list('good', 'bridge'),
    folder: {},
  })
  execFileSync('mkfifo', [`${confDir}/45-pipe.conf`])
  t.same(read(confDir), {
    names: ['good'],
    broken: [
      '00-empty.conflist:1:1: expected a value but found the end of the file',
      '10-comma.conflist:3:38: expected a value but found "]"',
      '20-nameless.conf: missing network name',
      'read 30-dangling.conf: ENOENT',
      'read 40-folder.conf: is a folder, not a regular file',
      'read 45-pipe.conf: is a named pipe, not a regular file',
    ],
  })
})

t.test('findConfList() finds a network by its name, in a list first', async t => {
  const confDir = t.testdir({
    '10-one.conf': single('one', 'old'),
    '20-one.conflist': list('one', 'new'),
    '30-two.json': single('two', 'old'),
  })
  t.equal(findConfList({ confDir }, 'one').plugins[0]?.type, 'new')
  t.equal(findConfList({ confDir }, 'two').plugins[0]?.type, 'old')
  t.throws(() => findConfList({ confDir }, 'three'), {
    code: 7,
    message: `no net configuration with name "three" in ${confDir}`,
    details: 'the networks there are "one", "one", "two"',
  })
})

t.test('plugins in the folder named like the network are appended', async t => {
  const folder = () => ({
    '20-b.conf': '{"type":"b"}',
    '10-a.conf': '{"type":"a"}',
    'c.json': '{"type":"c"}',
  })
  const types = (confDir: string, file: string) =>
    readConfList(`${confDir}/${file}`).plugins.map(({ type }) => type)
  const only = JSON.stringify({ name: 'only', loadOnlyInlinedPlugins: true, plugins: [{ type: 'first' }] })
  const confDir = t.testdir({
    'net.conflist': list('net', 'first'),
    'bare.conflist': '{"name":"bare"}',
    'only.conflist': only,
    'old.conf': single('old', 'first'),
    'none.conflist': '{"name":"none"}',
    'torn.conflist': list('torn', 'first'),
    net: folder(),
    bare: folder(),
    only: folder(),
    old: folder(),
    torn: { '10-a.conf': '{"type":' },
  })
  t.same(types(confDir, 'net.conflist'), ['first', 'a', 'b'])
  t.same(types(confDir, 'bare.conflist'), ['a', 'b'])
  t.same(types(confDir, 'only.conflist'), ['first'])
  t.same(types(confDir, 'old.conf'), ['first'])
  t.equal(
    failureOf(() => readConfList(`${confDir}/none.conflist`)),
    `7 ${confDir}/none.conflist: no plugin configs found`,
  )
  // A chain without one of its members could be one without its firewall.
  t.equal(
    failureOf(() => readConfList(`${confDir}/torn.conflist`)),
    `6 ${confDir}/torn/10-a.conf:1:9: expected a value but found the end of the file`,
  )
})
