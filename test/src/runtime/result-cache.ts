import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { platform } from '#platform'
import {
  formatCacheEntry,
  listCacheEntries,
  parseCacheEntry,
  readCachedResult,
  readCacheEntry,
  removeCacheEntry,
  sweepCache,
  sweepHalfWritten,
  writeCacheEntry,
} from '../../../src/runtime/result-cache'

const key = { network: 'net', containerID: 'c1', ifName: 'eth0' }
const entry = { ...key, netns: '/run/netns/a', config: '{}', result: { cniVersion: '1.1.0' } }
const text =
  '{"kind":"cniCacheV1","containerId":"c1","config":"e30=","ifName":"eth0","networkName":"net",' +
  '"netns":"/run/netns/a","result":{"cniVersion":"1.1.0"}}'

/** A cache folder with these files in it. */
const cacheWith = (t: Test, files: Record<string, string>) => t.testdir({ results: files })

const names = (cacheDir: string) => readdirSync(`${cacheDir}/results`).sort()

t.test('writeCacheEntry() writes one private file where libcni looks for it', async t => {
  const cacheDir = `${t.testdir({})}/var/lib/cni`
  writeCacheEntry(cacheDir, entry)
  writeCacheEntry(cacheDir, entry)
  t.same(names(cacheDir), ['net-c1-eth0'])
  t.equal(readFileSync(`${cacheDir}/results/net-c1-eth0`, 'utf8'), text)
  t.equal(lstatSync(`${cacheDir}/results/net-c1-eth0`).mode & 0o777, 0o600)
  t.equal(lstatSync(`${cacheDir}/results`).mode & 0o777, 0o700)
  t.match(readCacheEntry(cacheDir, key), { netns: '/run/netns/a', config: '{}' })
})

t.test('writeCacheEntry() replaces a symbolic link and leaves its target alone', async t => {
  const cacheDir = cacheWith(t, {})
  writeFileSync(`${cacheDir}/precious`, 'precious')
  symlinkSync('../precious', `${cacheDir}/results/net-c1-eth0`)
  writeCacheEntry(cacheDir, entry)
  t.equal(readFileSync(`${cacheDir}/precious`, 'utf8'), 'precious')
  t.ok(lstatSync(`${cacheDir}/results/net-c1-eth0`).isFile())
  const other = t.testdir({ elsewhere: {}, cache: { results: t.fixture('symlink', '../elsewhere') } })
  t.throws(() => writeCacheEntry(`${other}/cache`, entry), { message: /results" is not a folder/ })
  t.same(readdirSync(`${other}/elsewhere`), [])
})

t.test('a write that fails leaves the old entry and nothing else', async t => {
  const cacheDir = cacheWith(t, {})
  mkdirSync(`${cacheDir}/results/net-c1-eth0`)
  t.throws(() => writeCacheEntry(cacheDir, entry), { code: /EISDIR|ENOTEMPTY/ })
  t.same(names(cacheDir), ['net-c1-eth0'])
})

t.test('readCacheEntry() finds nothing in what is no entry of this attachment', async t => {
  const cacheDir = cacheWith(t, {
    'net-empty-eth0': '',
    'net-torn-eth0': text.slice(0, 40),
    'net-c2-eth0': text,
    'net-pipe-eth0': '',
  })
  symlinkSync('net-c2-eth0', `${cacheDir}/results/net-c1-eth0`)
  for (const containerID of ['none', 'empty', 'torn', 'c2', 'c1']) {
    t.equal(readCacheEntry(cacheDir, { ...key, containerID }), undefined, containerID)
  }
  t.equal(readCacheEntry(`${cacheDir}/none`, key), undefined)
  t.throws(() => readCacheEntry(cacheDir, { ...key, containerID: '../x' }), { code: 4 })
})

t.test('readCachedResult() answers it as it was, or in the version asked for', async t => {
  const result = { cniVersion: '1.0.0', 'x/y': 1, ips: [{ address: '10.1.2.3/24' }] }
  const cacheDir = t.testdir({})
  writeCacheEntry(cacheDir, { ...entry, result })
  t.same(readCachedResult(cacheDir, key, '1.0.0'), result)
  t.match(readCachedResult(cacheDir, key, '0.4.0'), {
    cniVersion: '0.4.0',
    ips: [{ version: '4', address: '10.1.2.3/24' }],
    dns: {},
  })
  t.equal(readCachedResult(cacheDir, { ...key, ifName: 'eth1' }, '1.0.0'), undefined)
  writeCacheEntry(cacheDir, { ...entry, result: { cniVersion: '1.0.0', ips: 'many' } })
  t.throws(() => readCachedResult(cacheDir, key, '1.0.0'), { code: 6 })
})

t.test('readCachedResult() reads the bare result that libcni before 0.8 kept', async t => {
  const cacheDir = cacheWith(t, {
    'net-c1-eth0': '{"cniVersion":"0.3.1","dns":{}}',
    'net-c2-eth0': '{"dns":{}}',
  })
  t.same(readCachedResult(cacheDir, key, '0.3.1'), { cniVersion: '0.3.1', dns: {} })
  t.equal(readCachedResult(cacheDir, { ...key, containerID: 'c2' }, '0.3.1'), undefined)
})

t.test('removeCacheEntry() removes what is there, readable or not', async t => {
  const cacheDir = cacheWith(t, { 'net-c1-eth0': text, 'net-c2-eth0': '', 'net-c3-eth0': text })
  for (const containerID of ['c1', 'c1', 'c2']) removeCacheEntry(cacheDir, { ...key, containerID })
  t.same(names(cacheDir), ['net-c3-eth0'])
  // Its content says that it is another attachment's.
  removeCacheEntry(cacheDir, { ...key, containerID: 'c3' })
  t.same(names(cacheDir), ['net-c3-eth0'])
})

t.test('listCacheEntries() lists what can be read, in the order of the names', async t => {
  const of = (containerID: string) => text.replace('"c1"', JSON.stringify(containerID))
  const cacheDir = cacheWith(t, {
    'net-c2-eth0': of('c2'),
    'net-c1-eth0': text,
    'net-evil-eth0': of('../../etc'),
    'net-torn-eth0': '',
    '.new-17-abc': of('c3'),
  })
  mkdirSync(`${cacheDir}/results/folder`)
  t.same(
    listCacheEntries(cacheDir).map(({ containerID }) => containerID),
    ['c1', 'c2'],
  )
  t.same(listCacheEntries(`${cacheDir}/none`), [])
})

t.test('sweepCache() removes old files that a crash has torn, and no other', async t => {
  const cacheDir = cacheWith(t, {
    'net-c1-eth0': text,
    'net-torn-eth0': '',
    'net-valid-eth0': '',
    'net-fresh-eth0': '',
    'net-legacy-eth0': '{"cniVersion":"0.3.1"}',
    'other-torn-eth0': '',
  })
  const twoHoursAgo = Date.now() / 1000 - 7200
  for (const name of names(cacheDir)) {
    if (name !== 'net-fresh-eth0') utimesSync(`${cacheDir}/results/${name}`, twoHoursAgo, twoHoursAgo)
  }
  sweepCache(cacheDir, 'net', [{ containerID: 'valid', ifName: 'eth0' }])
  t.same(names(cacheDir), [
    'net-c1-eth0',
    'net-fresh-eth0',
    'net-legacy-eth0',
    'net-valid-eth0',
    'other-torn-eth0',
  ])
})

t.test('a file of a killed ADD is removed at once, a file of a running ADD stays', async t => {
  const cacheDir = cacheWith(t, {
    'net-c1-eth0': text,
    '.new-17-abc': text.slice(0, 20),
    '.new-18-abc': '',
    '.new-19-abc': text,
  })
  symlinkSync('net-c1-eth0', `${cacheDir}/results/.new-20-abc`)
  const locked = openSync(`${cacheDir}/results/.new-18-abc`, 'r')
  t.teardown(() => closeSync(locked))
  t.equal(platform.libc.flock(locked, 2), 0, 'LOCK_EX, as its writer has it')
  sweepHalfWritten(cacheDir)
  t.same(names(cacheDir), ['.new-18-abc', '.new-20-abc', 'net-c1-eth0'])
  sweepHalfWritten(`${cacheDir}/none`)
})

const golden = (name: string) => readFileSync(join(__dirname, 'fixtures/golden', name), 'utf8')

const minimal = '{"kind":"cniCacheV1","containerId":"c1","config":"e30=","ifName":"eth0","networkName":"net"}'

t.test('an entry of libcni 1.3.0 is written back byte for byte', async t => {
  for (const name of ['rich-c-1-eth0', 'old-c-2-eth0', 'single-c-3-eth0']) {
    const text = golden(`results/${name}`)
    const entry = parseCacheEntry(text)
    t.equal(entry && formatCacheEntry(entry), text, name)
  }
})

t.test('parseCacheEntry() reads the fields', async t => {
  const entry = parseCacheEntry(golden('results/rich-c-1-eth0'))
  t.match(entry, {
    containerID: 'c-1',
    ifName: 'eth0',
    network: 'rich',
    netns: '/run/netns/a',
    config: golden('10-rich.conflist'),
    args: [
      ['IgnoreUnknown', '1'],
      ['K8S_POD_NAME', 'a<b'],
    ],
    capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    result: { cniVersion: '1.1.0', ips: [{ address: '10.1.2.3/24' }] },
  })
})

t.test('formatCacheEntry() leaves out what is empty', async t => {
  const entry = { containerID: 'c1', ifName: 'eth0', network: 'net', netns: '', config: '{}' }
  t.equal(formatCacheEntry(entry), minimal)
  t.equal(formatCacheEntry({ ...entry, args: [], capabilityArgs: {}, result: {} }), minimal)
})

t.test('an empty dns is left out from 1.0.0 on and written before', async t => {
  const entry = { containerID: 'c1', ifName: 'eth0', network: 'net', netns: '', config: '{}' }
  const cases: [result: { cniVersion: string; dns?: object }, written: string][] = [
    [{ cniVersion: '1.0.0', dns: {} }, '{"cniVersion":"1.0.0"}'],
    [{ cniVersion: '1.0.0', dns: { domain: 'a' } }, '{"cniVersion":"1.0.0","dns":{"domain":"a"}}'],
    [{ cniVersion: '0.4.0' }, '{"cniVersion":"0.4.0","dns":{}}'],
  ]
  for (const [result, written] of cases) {
    t.equal(formatCacheEntry({ ...entry, result }), `${minimal.slice(0, -1)},"result":${written}}`)
  }
})

t.test('parseCacheEntry() finds nothing in garbage', async t => {
  t.ok(parseCacheEntry(minimal))
  for (const text of [
    '',
    '\0\0\0\0',
    minimal.slice(0, -1),
    'null',
    '[]',
    '{"cniVersion":"0.3.1","ips":[]}',
    minimal.replace('cniCacheV1', 'cniCacheV2'),
    minimal.replace('"c1"', '1'),
    minimal.replace('}', ',"result":[]}'),
    minimal.replace('}', ',"cniArgs":[["a"]]}'),
  ]) {
    t.equal(parseCacheEntry(text), undefined, JSON.stringify(text))
  }
})
