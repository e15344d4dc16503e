/**
 * Every exported name has a user in another file of the product. A function that only its own file uses may be exported
 * for its unit test; a name that only tests use is dead.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const root = join(__dirname, '..')

/** The build looks these up: a program's beginning, and what stands for Node's own modules under QuickJS. */
const usedByBuild = [
  /^plugins\/schemas\.ts$/,
  /^src\/platform\/(bun|node\/archive|node\/platform)\.ts$/,
  /^src\/platform\/quickjs\/(events|fs|globals|os|path|platform|tty|zlib)\.ts$/,
]

const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map(name => join(folder, name))

type Module = {
  readonly file: string
  readonly exported: readonly string[]
  /** File → the names that are imported of it by name. */
  readonly named: ReadonlyMap<string, ReadonlySet<string>>
  /** The files that are imported as an object, when they are needed: any word of this file may be a name of theirs. */
  readonly whole: ReadonlySet<string>
  /** Word → how often the file has it. */
  readonly words: ReadonlyMap<string, number>
}

const read = (file: string): Module => {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(root, file), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  )
  const exported: string[] = []
  const named = new Map<string, Set<string>>()
  const whole = new Set<string>()
  const words = new Map<string, number>()

  const target = (specifier: ts.Node): string =>
    ts.isStringLiteral(specifier) && specifier.text.startsWith('.')
      ? `${join(dirname(file), specifier.text).replace(/\.js$/, '')}.ts`
      : ''

  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) words.set(node.text, (words.get(node.text) ?? 0) + 1)
    if (
      ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      node.arguments[0]
    )
      whole.add(target(node.arguments[0]))
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      whole.add(target(node.argument.literal))
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      const names = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : node.exportClause
      if (!node.moduleSpecifier) return
      const from = target(node.moduleSpecifier)
      if (names && (ts.isNamedImports(names) || ts.isNamedExports(names))) {
        const known = named.get(from) ?? new Set()
        for (const { name, propertyName } of names.elements) known.add((propertyName ?? name).text)
        named.set(from, known)
      } else whole.add(from)
      return
    }
    ts.forEachChild(node, visit)
  }
  visit(source)

  for (const statement of source.statements) {
    if (!ts.canHaveModifiers(statement)) continue
    if (!ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue
    const declared = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [statement]
    for (const one of declared) {
      const name = ts.getNameOfDeclaration(one as ts.Declaration)
      if (name && ts.isIdentifier(name)) exported.push(name.text)
    }
  }
  return { file, exported, named, whole, words }
}

const product = ['agent', 'cli', 'node', 'plugins', 'src'].flatMap(filesIn).map(read)
const tests = filesIn('test').map(read)

const isImported = (file: string, name: string, users: readonly Module[]): boolean =>
  users.some(
    user =>
      user.file !== file &&
      (user.named.get(file)?.has(name) || (user.whole.has(file) && user.words.has(name))),
  )

const isUsed = ({ file, words }: Module, name: string): boolean =>
  isImported(file, name, product) || ((words.get(name) ?? 0) > 1 && isImported(file, name, tests))

t.test('there is something to look at', async t => {
  const add = product.find(({ file }) => file === 'plugins/bridge/add.ts')
  t.same(add?.exported, ['add'])
  t.ok(add?.named.get('src/netlink/link.ts')?.size, 'imports by name are seen')
  t.ok(
    add?.whole.has('src/netfilter/rules/spoof-check/nft.ts'),
    'imports of a module when it is needed are seen',
  )
  t.notOk(add && isUsed(add, 'noSuchName'))
})

t.test('every exported name has a user', async t => {
  const dead = product
    .filter(({ file }) => !usedByBuild.some(pattern => pattern.test(file)))
    .flatMap(module =>
      module.exported.filter(name => !isUsed(module, name)).map(name => `${module.file}: ${name}`),
    )
  t.same(dead, [])
})
