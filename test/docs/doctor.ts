/** docs/doctor.md has a line for each fault that the doctor can name, with an anchor: the table of the code in words. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type FaultCode, faults } from '../../node/survey/faults'
import { root } from './fixtures/document'

const page = readFileSync(join(root, 'docs/doctor.md'), 'utf8')

const codes = (Object.keys(faults) as FaultCode[]).sort()

const lineOf = (code: FaultCode): string => {
  const { severity, title, cause, remedy } = faults[code]
  const sign = severity === 'warn' ? '⚠ ' : ''
  return `| <a id="${code.toLowerCase()}"></a>${code} | ${sign}${title} | ${cause} | ${remedy} |`
}

t.test('the page and the table of faults agree, code by code', async t => {
  t.same(
    page.split('\n').filter(line => /^\| <a /.test(line)),
    codes.map(lineOf),
  )
})

t.test('every code that another page names is one of them', async t => {
  for (const name of ['troubleshooting', 'cli', 'portmap', 'bridge', 'kubenet', 'cluster']) {
    const text = readFileSync(join(root, `docs/${name}.md`), 'utf8')
    for (const [code = ''] of text.matchAll(/KN\d{4}/g))
      t.ok(
        codes.some(known => known === code),
        `${name}: ${code}`,
      )
  }
})
