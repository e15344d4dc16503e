import t from 'tap'
import { confVersions } from '../../../src/runtime/conf-list'

t.test('confVersions() are what both keys allow and the runtime knows, oldest first', async t => {
  const cases: [conf: { cniVersion?: unknown; cniVersions?: unknown }, versions: string[]][] = [
    [{}, ['0.1.0']],
    [{ cniVersion: '' }, ['0.1.0']],
    [{ cniVersion: '0.4.0' }, ['0.4.0']],
    [{ cniVersion: '0.4.0', cniVersions: [] }, ['0.4.0']],
    [{ cniVersions: ['1.1.0', '0.3.1', '1.0.0'] }, ['0.3.1', '1.0.0', '1.1.0']],
    [{ cniVersion: '1.0.0', cniVersions: ['0.4.0'] }, ['0.4.0', '1.0.0']],
    // Those of the future are for newer runtimes.
    [{ cniVersion: '9.0.0', cniVersions: ['0.4.0', '1.2.0'] }, ['0.4.0']],
  ]
  for (const [conf, versions] of cases)
    t.same(confVersions(conf, 'a.conflist'), versions, JSON.stringify(conf))
})

t.test('confVersions() refuses what is no version and what nobody knows', async t => {
  const cases: [conf: { cniVersion?: unknown; cniVersions?: unknown }, failure: string][] = [
    [{ cniVersion: 1 }, '7 a.conflist: cniVersion is not a string: 1'],
    [{ cniVersion: 'one' }, '7 a.conflist: not a CNI version: "one"'],
    [{ cniVersions: '1.0.0' }, '7 a.conflist: cniVersions is not a list: "1.0.0"'],
    [{ cniVersions: ['1.0.0', 4] }, '7 a.conflist: not a CNI version: 4'],
    [{ cniVersion: '2.0.0' }, '1 a.conflist: unknown CNI version "2.0.0"'],
  ]
  for (const [conf, failure] of cases) {
    try {
      confVersions(conf, 'a.conflist')
      t.fail(JSON.stringify(conf))
    } catch (error) {
      const { code, message } = error as { code: number; message: string }
      t.equal(`${code} ${message}`, failure)
    }
  }
})
