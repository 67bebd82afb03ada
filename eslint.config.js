import { readFileSync } from 'node:fs'
import { defineConfig } from 'eslint/config'
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript'
import { importX } from 'eslint-plugin-import-x'
import tseslint from 'typescript-eslint'

const typed = tseslint.configs.strictTypeChecked.concat(tseslint.configs.stylisticTypeChecked)

export default defineConfig(
  { ignores: ['dist', '.cache', 'node_modules', 'countersign-data', 'src/wire', 'test/cases'] },
  {
    files: ['**/*.ts'],
    extends: [typed, importX.flatConfigs.typescript],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver({ project: 'tsconfig.json' })] },
    rules: {
      // A lost promise is a lost event.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // What keeps a promise of an interface may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unnecessary-type-arguments': 'off',
      // It asks for `!`, which another rule forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      'import-x/no-cycle': 'error',
      'import-x/no-default-export': 'error',
      'import-x/no-unresolved': 'error',
      'import-x/no-self-import': 'error',
      eqeqeq: 'error',
      'no-control-regex': 'error',
      'no-unsafe-finally': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Settings are read in src/config.ts alone.' },
      ],
      'no-restricted-imports': ['error', onlyThroughDoors()],
    },
  },
  ...doorKeepers(),
  { files: ['src/cli/**/*.ts'], rules: { 'no-console': 'off' } },
  { files: ['src/config.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-misused-spread': 'off',
      'no-control-regex': 'off',
    },
  },
)

/** The table "Each foreign library has one door" of src/README.md: library → places in src. */
function doors() {
  const readme = readFileSync(new URL('src/README.md', import.meta.url), 'utf8')
  const table = readme.split('\n| library |')[1]?.split('\n\n')[0] ?? ''
  const rows = table.split('\n').slice(2)
  return rows.map((row) => {
    const [library, ...places] = [...row.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
    return { library, places }
  })
}

function doorKeepers() {
  const places = [...new Set(doors().flatMap((door) => door.places))]
  return places.map((place) => ({
    files: [place.endsWith('.ts') ? `src/${place}` : `src/${place}/**/*.ts`],
    rules: { 'no-restricted-imports': ['error', onlyThroughDoors(place)] },
  }))
}

function onlyThroughDoors(place) {
  const closed = doors().filter((door) => !door.places.includes(place))
  return {
    paths: [
      { name: 'node:process', importNames: ['env'], message: 'Settings are read in src/config.ts alone.' },
      ...closed.map(({ library, places }) => ({ name: library, message: `Its door is ${places.join(' or ')}.` })),
    ],
  }
}
