/** Prints "PASSED FAILED", summed over the result files of vitest's JSON reporter in the directory given as argument. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = process.argv[2] ?? '.';
const runs = readdirSync(directory).map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')));
const sum = (count) => runs.reduce((total, run) => total + count(run), 0);

// A file that failed outside its tests (an import, a hook) has no failed test to show for it.
const brokenFiles = (run) =>
  run.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((result) => result.status === 'failed'),
  ).length;

console.log(
  sum((run) => run.numPassedTests),
  sum((run) => run.numFailedTests + brokenFiles(run)),
);
