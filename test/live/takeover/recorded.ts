/**
 * What attachments leave on a node never changes: nodes outlive releases. What a release left is recorded in
 * test/fixtures/golden/node, and today's programs leave the same, to the byte.
 */
import t from 'tap'
import { binDir, flavours } from '../../fixtures/cni'
import { type Case, cases, takeoverHost } from '../../fixtures/takeover/cases'
import { readGolden } from '../../fixtures/takeover/golden'
import { leftBy } from '../../fixtures/takeover/leave'
import { readBytes } from '../../fixtures/takeover/node-state'
import { plant } from '../../fixtures/takeover/plant'

/** Without what later releases added, which older ones skip: keys of records, and notes of sysctls for a purge. */
const withoutAdditions = (state: string): string =>
  state
    .replaceAll(/^> \/run\/kubenet-cni\/sysctls\/.*\n(?:(?!> |###|$).*\n)*/gm, '')
    .replaceAll(/"(hostNetns|pidNamespace)":<\w+>,/g, '')
    .replaceAll(/("claims":\[[^\]]*\],)"time":<time>,/g, '$1')
    .replaceAll(/,"marks":\{[^}]*\}/g, '')

/** Of names that are longer than there is room for, later releases write the end otherwise, and read both. */
const isWrittenAlike = ({ name }: Case): boolean => name !== 'long-names'

for (const flavour of flavours) {
  for (const of of cases.filter(isWrittenAlike)) {
    t.test(`[${flavour}] ${of.name}`, async t => {
      const golden = readGolden(of.name)
      const left = await leftBy(t, of, binDir(flavour))
      t.same(left.results, golden.results)
      t.equal(withoutAdditions(left.both), golden.both, 'after both ADDs')
      t.equal(withoutAdditions(left.one), golden.one, 'after DEL of the second')
      t.equal(withoutAdditions(left.none), golden.none, 'after both DELs')
      const host = await takeoverHost(t, of)
      await plant(host, golden.both)
      t.equal(left.bytes, await readBytes(host), 'to the byte')
    })
  }
}
