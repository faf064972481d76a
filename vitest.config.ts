import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** A directory for a machine-readable copy of the results, one file a run: .ci/run counts them. */
const results = process.env['APPSHOT_TEST_RESULTS'];

export default defineConfig({
  test: {
    reporters:
      results === undefined
        ? ['default']
        : ['default', ['json', { outputFile: join(results, `${process.pid}.json`) }]],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          // A machine that does much else is slow, and right all the same.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          // Worker threads share namespaces and a working directory with vitest itself; a process of its own does not.
          pool: 'forks',
          // Each file makes a host of its own, and none measures; more than two at a time would only wait for each other.
          maxWorkers: 2,
          // Behind the unit tests, when both are asked for.
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
