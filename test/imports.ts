import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'

const src = resolve(import.meta.dirname, '../src')

/** One import of a file: what it names, where, and whether it disappears when the types are stripped. */
export interface Import {
  /** Relative to src/. */
  readonly file: string
  /** 1-based. */
  readonly line: number
  /** As written: a path, a library or a built-in module. */
  readonly specifier: string
  readonly typeOnly: boolean
}

/** All files of src/ that are code, relative to it. */
export function sourceFiles(): readonly string[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
}

export function importsInSource(): readonly Import[] {
  return sourceFiles().flatMap((file) => importsIn(file, readFileSync(join(src, file), 'utf8')))
}

/** The file or folder, relative to src/, that a relative import names; undefined for what lies outside src/. */
export function target(found: Import): string | undefined {
  const path = relative(src, resolve(src, dirname(found.file), found.specifier))
  return path.startsWith('..') ? undefined : path
}

/** Finds imports, re-exports, `import()`, `import('…')` types, `require` and `new URL('…', import.meta.url)`. */
export function importsIn(file: string, code: string): readonly Import[] {
  const source = ts.createSourceFile(file, code, ts.ScriptTarget.Latest, true)
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    const named = specifierOf(node)
    if (named !== undefined) {
      const line = source.getLineAndCharacterOfPosition(named.getStart()).line + 1
      found.push({ file, line, specifier: textOf(named), typeOnly: isTypeOnly(node) })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function specifierOf(node: ts.Node): ts.Expression | ts.LiteralTypeNode['literal'] | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
  if (ts.isCallExpression(node)) {
    const loads = node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === 'require'
    return loads ? node.arguments[0] : undefined
  }
  if (!ts.isNewExpression(node) || node.expression.getText() !== 'URL') return undefined
  return node.arguments?.[1]?.getText() === 'import.meta.url' ? node.arguments[0] : undefined
}

/** The text of a literal, or of a template up to its first value: enough to know the folder. */
function textOf(named: ts.Node): string {
  if (ts.isStringLiteralLike(named)) return named.text
  return ts.isTemplateExpression(named) ? named.head.text : named.getText()
}

function isTypeOnly(node: ts.Node): boolean {
  if (ts.isImportTypeNode(node)) return true
  if (ts.isExportDeclaration(node)) return node.isTypeOnly
  return ts.isImportDeclaration(node) && node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
}
