/** What a release packs: the Debian package, the npm package and the checksums, unpacked and used. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { builtDir } from '../fixtures/cni'

const root = join(__dirname, '../..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const plugins = ['bandwidth', 'bridge', 'host-local', 'kubenet', 'loopback', 'portmap']
const programs = plugins

const run = (program: string, args: readonly string[], cwd = root): string =>
  execFileSync(program, args, {
    cwd,
    encoding: 'utf8',
    // The programs for Node.js: the same files in the same places as the standalone ones, and a fiftieth of their size.
    env: { ...process.env, PACK_LEVEL: '1', SOURCE_DATE_EPOCH: '1750000000' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })

const pack = (...args: string[]): string => run(join(root, 'scripts/pack'), args)

/** Files of a folder and those below, relative to it. */
const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => !entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()

const built = builtDir('node')
const scratch = t.testdir({})

const units = [
  'kubenet-init.service',
  'kubenet-metrics.service',
  'kubenet-metrics.timer',
  'kubenet-watch.service',
]

const schemaNames = ['bandwidth', 'bridge', 'conflist', 'host-local', 'kubenet', 'loopback', 'portmap']

t.test('the Debian package', async t => {
  const file = join(scratch, `kubenet-cni_${version}_amd64.deb`)
  pack('deb', built, 'amd64', file)

  await t.test('says what it is', async t => {
    const field = (name: string) => run('dpkg-deb', ['--field', file, name]).trim()
    t.equal(field('Package'), 'kubenet-cni')
    t.equal(field('Version'), version)
    t.equal(field('Architecture'), 'amd64')
    t.equal(field('Depends'), '')
    t.match(field('Installed-Size'), /^\d+$/)
  })

  // A node of nothing but dpkg's own records.
  const node = join(scratch, 'node')
  for (const folder of ['info', 'updates']) mkdirSync(join(node, 'var/lib/dpkg', folder), { recursive: true })
  writeFileSync(join(node, 'var/lib/dpkg/status'), '')
  const dpkg = (...args: string[]) =>
    run('dpkg', [`--root=${node}`, '--force-depends', '--force-not-root', '--force-bad-path', ...args])
  dpkg('--install', file)

  await t.test('installs the programs, a manual page, completions and the documents', async t => {
    const files = filesIn(node).filter(name => name.startsWith('usr/'))
    t.same(
      files.filter(name => !name.startsWith('usr/share/doc/')),
      [
        ...programs.map(name => `usr/lib/cni-kubenet/${name}`),
        ...units.map(name => `usr/lib/systemd/system/${name}`),
        'usr/sbin/kubenet',
        'usr/share/bash-completion/completions/kubenet',
        'usr/share/fish/vendor_completions.d/kubenet.fish',
        ...schemaNames.map(name => `usr/share/kubenet-cni/schema/${name}.json`),
        'usr/share/man/man8/kubenet.8.gz',
        'usr/share/zsh/vendor-completions/_kubenet',
      ],
    )
    for (const name of [
      'copyright',
      'changelog.gz',
      'install.md',
      'licenses.md',
      'sbom.cdx.json',
      'troubleshooting.md',
    ])
      t.ok(files.includes(`usr/share/doc/kubenet-cni/${name}`), name)
    const inodes = plugins.map(name => statSync(join(node, 'usr/lib/cni-kubenet', name)).ino)
    t.equal(new Set(inodes).size, 1, 'one file under all names')
  })

  await t.test('the installed programs run, and are those that were built', async t => {
    t.match(run(join(node, 'usr/sbin/kubenet'), ['version']), `kubenet ${version} `)
    const man = gunzipSync(readFileSync(join(node, 'usr/share/man/man8/kubenet.8.gz'))).toString()
    t.equal(man, readFileSync(join(root, 'dist/man/kubenet.8'), 'utf8'))
    for (const [installed, name] of [
      ['bash-completion/completions/kubenet', 'kubenet'],
      ['zsh/vendor-completions/_kubenet', '_kubenet'],
      ['fish/vendor_completions.d/kubenet.fish', 'kubenet.fish'],
    ] as const) {
      const text = readFileSync(join(node, 'usr/share', installed), 'utf8')
      t.equal(text, readFileSync(join(root, 'dist/completions', name), 'utf8'), name)
    }
    t.equal(dpkg('--verify', 'kubenet-cni'), '', 'every file has its checksum')
  })

  const noVerify = existsSync('/usr/bin/systemd-analyze') ? false : 'no systemd-analyze'
  await t.test('the units are ones that systemd takes', { skip: noVerify }, async () => {
    // Beside this machine's own units, with the program where it is now: systemd looks whether it is there.
    const folder = join(scratch, 'units')
    mkdirSync(folder)
    for (const name of units) {
      const text = readFileSync(join(node, 'usr/lib/systemd/system', name), 'utf8')
      writeFileSync(join(folder, name), text.replaceAll('/usr/sbin/', `${node}/usr/sbin/`))
    }
    run('systemd-analyze', ['verify', '--man=no', ...units.map(name => join(folder, name))])
  })

  await t.test('is removed without a trace', async t => {
    dpkg('--purge', 'kubenet-cni')
    t.same(
      filesIn(node).filter(name => name.startsWith('usr/')),
      [],
    )
  })
})

t.test('the same files are packed to the same bytes, whenever and wherever', async t => {
  const elsewhere = join(scratch, 'elsewhere')
  run('cp', ['-a', built, elsewhere])
  for (const name of readdirSync(elsewhere)) utimesSync(join(elsewhere, name), 1_900_000_000, 1_900_000_000)
  for (const [form, ...more] of [['tarball'], ['agent'], ['deb', 'arm64']] as const) {
    const [first, second] = [built, elsewhere].map((folder, index) => {
      const file = join(scratch, `${form}-${index}`)
      pack(form, folder, ...more, file)
      return readFileSync(file)
    })
    t.ok(first && second?.equals(first), form)
  }
})

t.test(
  'the tarball has its programs at the top level, and says nothing of the folder it is unpacked into',
  async t => {
    const listed = run('tar', ['-tvzf', join(scratch, 'tarball-0')])
      .trimEnd()
      .split('\n')
    const names = listed.map(line => line.replace(/^.* \d\d:\d\d /, '').replace(/ link to .*/, ''))
    t.same(
      names.filter(name => !name.startsWith('share/')).sort(),
      ['LICENSE', ...programs, 'licenses.md', 'sbom.cdx.json'].sort(),
    )
    t.same(
      names.filter(name => name.startsWith('share/') && !name.endsWith('/')).sort(),
      [
        ...['_kubenet', 'kubenet', 'kubenet.fish'].map(name => `share/completions/${name}`),
        'share/man/man8/kubenet.8.gz',
        ...schemaNames.map(name => `share/schema/${name}.json`),
        ...['init.service', 'metrics.service', 'metrics.timer', 'watch.service'].map(
          name => `share/systemd/kubenet-${name}`,
        ),
      ].sort(),
    )
    const unit = run('tar', ['-xOzf', join(scratch, 'tarball-0'), 'share/systemd/kubenet-watch.service'])
    t.match(unit, '\nExecStart=/opt/cni/bin/kubenet watch\n')
    t.equal(listed.filter(line => line.startsWith('h')).length, plugins.length - 1, 'hard links of one file')
    t.ok(
      listed.every(line => / 0\/0 /.test(line)),
      'all of root',
    )
  },
)

t.test('the tarball of the agent has that program alone', async t => {
  const listed = run('tar', ['-tzf', join(scratch, 'agent-0')]).trimEnd()
  t.same(listed.split('\n').sort(), ['LICENSE', 'kubenet-agent', 'licenses.md', 'sbom.cdx.json'])
})

t.test('the npm package', async t => {
  const folder = join(scratch, 'npm')
  mkdirSync(folder)
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--silent', '--pack-destination', folder]))
  run('tar', ['-xzf', packed.filename], folder)
  const files = filesIn(join(folder, 'package'))

  await t.test(
    'has the program once, schemas, manual page, completions and documents, and no source',
    async t => {
      t.same(
        files.filter(name => !name.startsWith('docs/')),
        [
          'LICENSE',
          'README.md',
          'dist/completions/_kubenet',
          'dist/completions/kubenet',
          'dist/completions/kubenet.fish',
          'dist/man/kubenet.8',
          'dist/node/kubenet',
          'dist/node/kubenet-agent',
          ...schemaNames.map(name => `dist/schema/${name}.json`),
          'package.json',
        ],
      )
      t.ok(files.includes('docs/install.md'))
    },
  )

  await t.test('installs all plugins from it', async t => {
    const bin = join(folder, 'bin')
    const text = run(join(folder, 'package/dist/node/kubenet'), ['install', '--bin-dir', bin])
    t.match(text, /host-local +installed/)
    t.same(filesIn(bin), programs)
    const { bin: commands, man } = JSON.parse(readFileSync(join(folder, 'package/package.json'), 'utf8'))
    t.same(
      [commands, man],
      [{ kubenet: 'dist/node/kubenet', 'kubenet-agent': 'dist/node/kubenet-agent' }, ['dist/man/kubenet.8']],
    )
  })
})

t.test('SHA256SUMS names every file of the release, and sha256sum agrees', async t => {
  const folder = join(scratch, 'sums')
  mkdirSync(folder)
  for (const name of ['a.tar.gz', 'b.deb']) writeFileSync(join(folder, name), name)
  pack('sums', folder)
  t.equal(run('sha256sum', ['--check', 'SHA256SUMS'], folder), 'a.tar.gz: OK\nb.deb: OK\n')
  writeFileSync(join(folder, 'b.deb'), 'another')
  t.throws(() => run('sha256sum', ['--check', '--status', 'SHA256SUMS'], folder))
})

const standalone = builtDir('standalone')

t.test(
  'a node gets all of it in 3 MB, and needs 8 MB for it',
  { skip: existsSync(join(standalone, 'kubenet')) ? false : 'the standalone programs are not built' },
  async t => {
    const file = join(scratch, 'node.tar.gz')
    const env = { ...process.env, PACK_LEVEL: '9' }
    execFileSync(join(root, 'scripts/pack'), ['tarball', standalone, file], { env })
    const packed = statSync(file).size
    t.ok(packed <= 3_000_000, `${packed} bytes packed`)
    const sizes = run('tar', ['-tvzf', file])
      .trimEnd()
      .split('\n')
      .map(line => Number(line.split(/\s+/)[2]))
    const unpacked = sizes.reduce((sum, size) => sum + size, 0)
    t.ok(unpacked <= 8_000_000, `${unpacked} bytes unpacked`)
    t.ok(unpacked >= 1_000_000, `${unpacked} bytes unpacked: the programs are in it`)
  },
)
