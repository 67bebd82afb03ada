import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { importsIn, importsInSource, sourceFiles, target, type Import } from './imports.ts'
import { codeIn, section, tableRows } from './markdown.ts'

const root = resolve(import.meta.dirname, '..')
const page = join(root, 'src/README.md')

/** From the page: place → the places that it may import, or everything. Places are folders, or files where named. */
const table = new Map(
  tableRows(section(page, 'Imports point back')).map(([place = '', allowed = '']) => [
    codeIn(place)[0] ?? place,
    allowed === 'everything' ? ('everything' as const) : codeIn(allowed),
  ]),
)
/** From the page: library → the places that may import it. */
const doors = new Map(
  tableRows(section(page, 'Each foreign library has one door')).map(([library = '', places = '']) => [
    codeIn(library)[0] ?? library,
    codeIn(places),
  ]),
)
const pure = ['identity', 'decision', 'audit']
const readSettings = ['app', 'cli/run.ts']

const all = importsInSource()
const inside = all.filter((found) => found.specifier.startsWith('.') && target(found) !== undefined)
const foreign = all.filter((found) => !found.specifier.startsWith('.'))

describe('the import table of src/README.md', () => {
  test('has a row for each folder of src, and a folder for each row', () => {
    const places = [...new Set(sourceFiles().map(placeOf))]
    expect([...table.keys()].sort()).toEqual(places.sort())
  })

  test('lets each row import only rows above it', () => {
    const rows = [...table.keys()]
    const forward = [...table].flatMap(([place, allowed]) =>
      allowed === 'everything'
        ? []
        : allowed
            .filter((name) => !rows.slice(0, rows.indexOf(place)).includes(name))
            .map((name) => `${place} → ${name}`),
    )
    expect(forward).toEqual([])
  })

  test('allows every import of src', () => {
    expect(inside.filter((found) => !isAllowed(found)).map(say)).toEqual([])
  })

  test('has a paragraph for each folder, and a folder for each paragraph', () => {
    const folders = [...table.keys()].filter((place) => !place.endsWith('.ts'))
    const paragraphs = [...section(page, 'The folders').matchAll(/^\*\*`([^`]+)\/`\*\*/gm)].map((match) => match[1])
    expect(paragraphs.sort()).toEqual(folders.sort())
  })
})

describe('the rules beside the table', () => {
  test('settings are handed on: only the composition root and the command line read them', () => {
    const readers = inside.filter(
      (found) => target(found) === 'config.ts' && !readSettings.includes(placeOf(found.file)),
    )
    expect(readers.map(say)).toEqual([])
  })

  test('pure folders touch no file, socket or clock of Node.js', () => {
    const impure = foreign.filter(
      (found) =>
        pure.includes(placeOf(found.file)) &&
        !(placeOf(found.file) === 'audit' && ['node:crypto', 'crypto'].includes(found.specifier)),
    )
    expect(impure.map(say)).toEqual([])
  })

  test('generated wire types are imported as types', () => {
    const loaded = inside.filter(
      (found) => placeOf(target(found) ?? '') === 'wire' && placeOf(found.file) !== 'wire' && !found.typeOnly,
    )
    expect(loaded.map(say)).toEqual([])
  })
})

describe('the doors of foreign libraries', () => {
  test('each library is imported only through its door', () => {
    const around = foreign.filter((found) => {
      const library = libraryOf(found.specifier)
      const places = doors.get(library)
      return places === undefined ? !library.startsWith('node:') : !places.some((place) => isAt(place, found.file))
    })
    expect(around.map(sayDoor)).toEqual([])
  })

  test('each door of the table is used', () => {
    const unused = [...doors].flatMap(([library, places]) =>
      places
        .filter((place) => !foreign.some((found) => libraryOf(found.specifier) === library && isAt(place, found.file)))
        .map((place) => `${library} in ${place}`),
    )
    expect(unused).toEqual([])
  })

  test('each dependency of package.json has a door', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }
    expect(Object.keys(dependencies).filter((library) => !doors.has(library))).toEqual([])
  })

  test('built-in modules are named with node:', () => {
    const bare = foreign.filter((found) => ['fs', 'path', 'crypto', 'worker_threads', 'os'].includes(found.specifier))
    expect(bare.map(say)).toEqual([])
  })
})

describe('reading imports', () => {
  const code = [
    "import { a } from './a.ts'",
    "import type { B } from '../b/b.ts'",
    "export { c } from './c.ts'",
    "export type { D } from './d.ts'",
    "const e = await import('./e.ts')",
    "type F = import('./f.ts').F",
    "new Worker(new URL('./g.ts', import.meta.url))",
    'new Worker(new URL(`./h${suffix}`, import.meta.url))',
    "const i = createRequire(import.meta.url); require('./i.cjs')",
    "import './j.ts'",
    "new URL('./not-a-module', base)",
  ].join('\n')

  test('finds each way to name a module, with its line', () => {
    const found = importsIn('check/check.ts', code).map(({ line, specifier }) => `${line} ${specifier}`)
    expect(found).toEqual([
      ...['1 ./a.ts', '2 ../b/b.ts', '3 ./c.ts', '4 ./d.ts', '5 ./e.ts', '6 ./f.ts', '7 ./g.ts', '8 ./h', '9 ./i.cjs'],
      '10 ./j.ts',
    ])
  })

  test('tells types from values', () => {
    const types = importsIn('check/check.ts', code).filter((found) => found.typeOnly)
    expect(types.map((found) => found.specifier)).toEqual(['../b/b.ts', './d.ts', './f.ts'])
  })
})

function placeOf(file: string): string {
  return table.has(file) ? file : (file.split('/')[0] ?? file)
}

function isAt(place: string, file: string): boolean {
  return file === place || file.startsWith(`${place}/`)
}

function isAllowed(found: Import): boolean {
  const from = placeOf(found.file)
  const to = placeOf(target(found) ?? '')
  const allowed = table.get(from) ?? []
  if (to === from || to === 'errors.ts' || allowed === 'everything') return true
  return allowed.includes(to) || (to === 'telemetry' && !pure.includes(from) && from !== 'errors.ts' && from !== 'wire')
}

/** `@scope/name` or `name` of what may be a path inside the library. */
function libraryOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function sayDoor(found: Import): string {
  const door = doors.get(libraryOf(found.specifier))?.join(', ') ?? 'no door in src/README.md yet'
  return `src/${found.file}:${found.line} imports ${found.specifier} (its door: ${door})`
}

function say(found: Import): string {
  const allowed = table.get(placeOf(found.file)) ?? []
  return `src/${found.file}:${found.line} imports ${found.specifier} (src/README.md lets ${placeOf(found.file)} import: ${String(allowed) || 'nothing'})`
}
