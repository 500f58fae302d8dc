/** What biome cannot see: rules that need types, the seams of the quiet rooms, and sizes. */
import tseslint from 'typescript-eslint'

const SEAMS = 'is a seam: take it from the Environment, so that tests own time, chance, exit and print'
const forbidden = [
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'crypto',
  'fetch',
  'require',
  'process',
  'console',
]
const MUTABLE = 'module-level mutable state: two systems in one process would share it'
const holders = ':matches(Program > VariableDeclaration, Program > ExportNamedDeclaration > VariableDeclaration)'

export default [
  { ignores: ['node_modules/', 'dist/', '.cache/', '**/*.mjs', '**/*.cjs'] },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/only-throw-error': 'error',
      'max-lines-per-function': ['warn', { max: 60, skipBlankLines: true, skipComments: true }],
      'max-lines': ['warn', { max: 500 }],
    },
  },
  {
    files: ['**/*.test.ts', '**/*-support.ts', 'lib/sel4/sim.ts'],
    rules: { 'max-lines-per-function': 'off', 'max-lines': 'off' },
  },
  {
    // Tables: a declaration per call, type and register.
    files: ['lib/contracts/*.ts'],
    rules: { 'max-lines': 'off' },
  },
  {
    files: ['{executive,drivers,devices,services}/**/*.ts'],
    ignores: ['**/*.test.ts', 'devices/lib/**'],
    rules: {
      'no-restricted-globals': ['error', ...forbidden.map((name) => ({ name, message: `${name} ${SEAMS}` }))],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random', message: `Math.random ${SEAMS}` }],
      'no-restricted-syntax': [
        'error',
        { selector: `${holders}[kind=/let|var/]`, message: MUTABLE },
        {
          selector: `${holders} > VariableDeclarator > NewExpression[callee.name=/^(Map|Set|WeakMap|WeakSet|Array)$/][arguments.length=0]`,
          message: MUTABLE,
        },
        { selector: `${holders} > VariableDeclarator > ArrayExpression[elements.length=0]`, message: MUTABLE },
        { selector: `${holders} > VariableDeclarator > ObjectExpression[properties.length=0]`, message: MUTABLE },
      ],
    },
  },
]
