import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'out/',
      'node_modules/',
      'coverage/',
      '**/*.generated.ts',
      'src/kernels/assembly/',
      'bench/peers/node_modules/',
    ],
  },
  eslint.configs.recommended,
  ...tseslint.configs.strict,
  {
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly', Buffer: 'readonly' } },
    rules: {
      // Indices are checked where data comes in; inside a loop nest a check for each access would hide the loop.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      // An import of types alone that is written inline leaves an import of nothing behind, and bundlers a chunk for it.
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-dynamic-delete': 'off',
      'no-console': 'error',
      eqeqeq: 'error',
      // A name that starts with _ is left out on purpose, as in `const { kind: _kind, ...rest } = state`.
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
    },
  },
  {
    // The last bits of these are the engine's own, and results must not depend on the engine: src/base/elementary.ts.
    // A power of two is exact on every engine tested (docs/numerics.md).
    files: ['src/**'],
    ignores: ['src/kernels/assembly/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        ...[
          ...[
            'exp',
            'expm1',
            'log',
            'log1p',
            'log2',
            'log10',
            'pow',
            'cbrt',
            'hypot',
            'sin',
            'cos',
            'tan',
            'asin',
            'acos',
          ],
          ...['atan', 'atan2', 'sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh'],
        ].map((property) => ({
          object: 'Math',
          property,
          message: 'Its bits differ from engine to engine: use src/base/elementary.ts.',
        })),
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "BinaryExpression[operator='**']:not([left.value=2]), AssignmentExpression[operator='**=']",
          message: 'Its bits differ from engine to engine: use square or power of src/base/elementary.ts.',
        },
      ],
    },
  },
  {
    files: ['test/**', 'bench/**', 'examples/**', 'scripts/**', 'src/cli/**'],
    rules: { 'no-console': 'off', '@typescript-eslint/explicit-module-boundary-types': 'off' },
  },
);
