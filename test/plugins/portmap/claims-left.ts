/** Claims and records as dead owners, crashes and others leave them. */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import t from 'tap'
import { ownerOf, takeDownClaims } from '../../../plugins/portmap/claims'
import { hasEnded, listOwners, type PortOwner } from '../../../plugins/portmap/records'
import { keyOf } from '../../../src/attachment/attachment'

import { ownNetnsNumber } from '../../../src/netns/netns'
import { fakeHere } from '../../fixtures/fake-host-view'
import { claim, filesIn, id, namespace, port } from './fixtures/claims'

t.test('a dead owner’s ports go to the next, after what is left of it is buried', async t => {
  const folder = t.testdir()
  const netns = namespace(folder, 'ns1')
  await claim(folder, { containerID: 'c1', ports: [port(80), port(81)], netns })
  unlinkSync(netns.path)
  const buried: string[] = []
  const takeDownDead = async (owner: PortOwner) => {
    t.ok(ownerOf(id('c1'), folder), 'still on record while it is buried')
    buried.push(owner.containerID)
  }
  const { dead } = await claim(folder, { containerID: 'c2', ports: [port(80)] }, { takeDownDead })
  t.same([buried, dead.map(({ containerID }) => containerID)], [['c1'], ['c1']])
  t.equal(ownerOf(id('c1'), folder), undefined)
  const key = keyOf(id('c2'))
  t.same(filesIn(`${folder}/claims`), [`tcp-80/any4@${key}`, `tcp-80/any6@${key}`], 'all of the dead one’s')
})

t.test('one that cannot be buried keeps its ports', async t => {
  const folder = t.testdir()
  const netns = namespace(folder, 'ns1')
  await claim(folder, { containerID: 'c1', ports: [port(80)], netns })
  unlinkSync(netns.path)
  const before = filesIn(folder)
  const failure = Object.assign(new Error('no'), { code: 'EROFS', syscall: 'open' })
  await t.rejects(
    claim(folder, { containerID: 'c2', ports: [port(80)] }, { takeDownDead: () => Promise.reject(failure) }),
    {
      message: 'no',
    },
  )
  t.same(filesIn(folder), before)
})

t.test('ended is whose namespace is gone, for all that can be seen', async t => {
  const here = fakeHere()
  const netns = { path: '/run/netns/a', dev: 4, ino: 10 }
  const owner = (more: object = { netns }): PortOwner => ({ ...id('c1'), claims: [], ...more })
  t.equal(hasEnded(owner({}), here, undefined, t.testdir()), false, 'unknown counts as alive')
  t.equal(hasEnded(owner(), here, undefined, t.testdir()), true, 'gone')
  here.blind = 'not all is seen'
  t.equal(hasEnded(owner(), here, undefined, t.testdir()), false, 'not to be seen')
  t.equal(
    hasEnded(owner({ netns, pidNamespace: 4 }), here, undefined, t.testdir()),
    true,
    'made where all is seen',
  )
  here.veths.push(id('c1'))
  t.equal(
    hasEnded(owner({ netns, pidNamespace: 4 }), here, undefined, t.testdir()),
    false,
    'its veth leads somewhere',
  )
})

t.test('a port stays taken where the record of who has it cannot be read', async t => {
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80)] })
  const path = `${folder}/owners/${keyOf(id('c1'))}`
  truncateSync(path, 2 ** 30)
  await t.rejects(claim(folder, { containerID: 'c2', ports: [port(80)] }), {
    code: 5,
    message: 'portmap: the owner of a host port cannot be read',
    details: `"${path}" has 1073741824 bytes, and more than 4194304 are not read`,
  })
  await claim(folder, { containerID: 'c3', ports: [port(81)] })
  await takeDownClaims(id('c1'), { folder })
  t.equal(existsSync(path), false, 'DEL removes it all the same')
})

t.test('claims of another host that shares the folder block no port', async t => {
  const folder = t.testdir()
  const netns = namespace(folder, 'ns1')
  await claim(folder, { containerID: 'c1', ports: [port(80)], netns })
  const path = `${folder}/owners/${keyOf(id('c1'))}`
  const record = JSON.parse(readFileSync(path, 'utf8'))
  t.same(record.hostNetns, ownNetnsNumber())
  writeFileSync(path, JSON.stringify({ ...record, hostNetns: { dev: 4, ino: 1 } }))
  await t.resolves(claim(folder, { containerID: 'c2', ports: [port(80)] }))
  t.ok(ownerOf(id('c1'), folder), 'and stay')
  t.same(
    listOwners(folder).map(({ containerID }) => containerID),
    ['c2'],
  )
})

t.test('claims with a torn or missing record have no owner', async t => {
  const contents = ['', '{"network":"net","contai', '[]', '{"network":"net"}', 'null']
  for (const content of contents) {
    const folder = t.testdir()
    await claim(folder, { containerID: 'c1', ports: [port(80)] })
    writeFileSync(`${folder}/owners/${keyOf(id('c1'))}`, content)
    await t.resolves(claim(folder, { containerID: 'c2', ports: [port(80)] }), content)
    await takeDownClaims(id('c1'), { folder })
    await takeDownClaims(id('c2'), { folder })
    t.same(filesIn(folder), ['lock'])
  }
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80)] })
  unlinkSync(`${folder}/owners/${keyOf(id('c1'))}`)
  await t.resolves(claim(folder, { containerID: 'c2', ports: [port(80)] }))
})

t.test('a record that is another’s under this name counts as none', async t => {
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80)] })
  await claim(folder, { containerID: 'c2', ports: [port(81)] })
  const stolen = readFileSync(`${folder}/owners/${keyOf(id('c1'))}`)
  writeFileSync(`${folder}/owners/${keyOf(id('c2'))}`, stolen)
  await takeDownClaims(id('c2'), { folder })
  await t.rejects(claim(folder, { containerID: 'c3', ports: [port(80)] }), { code: 7 })
})

t.test('nothing is read or written through a symbolic link', async t => {
  const folder = t.testdir({ victim: 'precious', hostports: {} })
  const store = `${folder}/hostports`
  const key = keyOf(id('c1'))
  mkdirSync(`${store}/owners`, { recursive: true })
  mkdirSync(`${store}/claims/tcp-80`, { recursive: true })
  symlinkSync(`${folder}/victim`, `${store}/owners/${key}`)
  symlinkSync(`${folder}/victim`, `${store}/owners/${key}.new`)
  t.equal(ownerOf(id('c1'), store), undefined)
  const { recorded } = await claim(store, { containerID: 'c1', ports: [port(80)] })
  t.equal(recorded, true, 'in place of the links')
  await takeDownClaims(id('c1'), { folder: store })
  symlinkSync(`${folder}/victim`, `${store}/owners/${key}`)
  await takeDownClaims(id('c1'), { folder: store })
  t.notOk(existsSync(`${store}/owners/${key}`), 'a link is removed, not followed')
  mkdirSync(`${store}/claims/tcp-80`, { recursive: true })
  symlinkSync(`${folder}/victim`, `${store}/claims/tcp-80/any4@${key}`)
  t.match(await claim(store, { containerID: 'c1', ports: [port(80)] }), { recorded: false })
  t.equal(readFileSync(`${folder}/victim`, 'utf8'), 'precious')
})

t.test('names in the folders that are not ours do no harm', async t => {
  const folder = t.testdir()
  await claim(folder, { containerID: 'c1', ports: [port(80)] })
  for (const name of ['any4', 'any4@', 'any4@../../x', '@', 'any4@zz@zz']) {
    writeFileSync(`${folder}/claims/tcp-80/${name.replaceAll('/', '-')}`, '')
  }
  writeFileSync(`${folder}/owners/junk`, '{}')
  t.equal(listOwners(folder).length, 1)
  await t.rejects(claim(folder, { containerID: 'c2', ports: [port(80)] }), { code: 7 })
})
