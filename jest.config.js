// What starts servers, brokers, proxies or installations; it runs in band, after the rest.
const heavy = ['test/e2e/', 'test/real/', 'test/fault/', 'test/app/', 'test/package.test.ts']

const common = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/.cache/', '<rootDir>/dist/'],
}

export default {
  maxWorkers: 2,
  // Real programs on a busy machine: no test is about time, so none fails for want of a little.
  testTimeout: 180_000,
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: heavy.map((path) => `<rootDir>/${path}`),
    },
    {
      ...common,
      displayName: 'heavy',
      testMatch: heavy.map((path) => `<rootDir>/${path.endsWith('/') ? `${path}**/*.test.ts` : path}`),
    },
  ],
}
