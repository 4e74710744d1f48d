/** Jest runs TypeScript as ES modules through swc; `npm run jest` sets --experimental-vm-modules. */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'es6' } }],
  },
  roots: ['<rootDir>/src', '<rootDir>/conformance-tests', '<rootDir>/scripts'],
  testMatch: ['**/*.test.ts', '**/*.test.mjs'],
  testTimeout: 30_000,
  // Modules of a test file stay in memory; a worker is made anew between files before they fill it.
  workerIdleMemoryLimit: '1500MB',
}
