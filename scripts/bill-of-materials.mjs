/**
 * What the built programs consist of: dist/sbom.cdx.json in the form of CycloneDX, and dist/licenses.md with the texts
 * that each licence wants to be passed on. From package-lock.json and what the bundler took; no time, no random number.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = 'node_modules/'

/** The package a bundled file is of, as package-lock.json names it; undefined for a file of our own. */
export const packageOf = file => {
  const at = file.lastIndexOf(folder)
  if (at < 0) return undefined
  const [scope, name] = file.slice(at + folder.length).split('/')
  const owner = file.slice(file.indexOf(folder), at + folder.length)
  return owner + (scope.startsWith('@') ? `${scope}/${name}` : scope)
}

const nameOf = path => path.slice(path.lastIndexOf(folder) + folder.length)

const purlOf = (name, version) => `pkg:npm/${name.replace('@', '%40')}@${version}`

const licenceOf = licence =>
  /[ ()]/.test(licence) ? [{ expression: licence }] : [{ license: { id: licence } }]

const componentOf = ({ name, version, license, integrity }) => ({
  type: 'library',
  'bom-ref': purlOf(name, version),
  name,
  version,
  // npm's integrity is base64, CycloneDX wants hex.
  hashes: [
    { alg: 'SHA-512', content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') },
  ],
  licenses: licenceOf(license),
  purl: purlOf(name, version),
})

const textOf = (root, path) => {
  const file = readdirSync(join(root, path)).find(name => /^licen[cs]e(\.|$)/i.test(name))
  return file ? readFileSync(join(root, path, file), 'utf8').trim() : 'The package comes without the text.'
}

/** What is no package of npm: { name, version, license, sha256, purl, text }. */
const otherComponentOf = ({ name, version, license, sha256, purl }) => ({
  type: 'library',
  'bom-ref': purl,
  name,
  version,
  hashes: [{ alg: 'SHA-256', content: sha256 }],
  licenses: licenceOf(license),
  purl,
})

/** Writes both files into the folder `out`. `files` are those that went into the programs, and `others` what else did. */
export const writeBill = (root, out, files, others) => {
  const { name, version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const packages = [...new Set(files.map(packageOf))]
    .filter(Boolean)
    .sort()
    .map(path => {
      if (!lock[path]) throw new Error(`${path} was bundled, but package-lock.json does not have it`)
      return { path, name: nameOf(path), ...lock[path] }
    })
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': purlOf(name, version),
        name,
        version,
        licenses: licenceOf(license),
        purl: purlOf(name, version),
      },
    },
    components: [...packages.map(componentOf), ...others.map(otherComponentOf)],
  }
  writeFileSync(join(out, 'sbom.cdx.json'), `${JSON.stringify(bill, null, 2)}\n`)
  const rows = [...packages, ...others].map(one => `| ${one.name} | ${one.version} | ${one.license} |`)
  const texts = [...packages, ...others].map(
    one => `## ${one.name} ${one.version}\n\n${one.text?.() ?? textOf(root, one.path)}\n`,
  )
  const list = [
    '# Licences of what the programs contain',
    '',
    '| package | version | licence |',
    '|---|---|---|',
  ]
  writeFileSync(join(out, 'licenses.md'), `${[...list, ...rows, '', ...texts].join('\n')}`)
}
