import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shownPaths } from '../../src/environments/root.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'appshot-shown-'));
  mkdirSync(join(directory, 'site'));
  writeFileSync(join(directory, 'server.js'), '');
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const shown = (workingDirectory: string | undefined, ...command: string[]): string[] =>
  shownPaths([workingDirectory === undefined ? { command } : { command, workingDirectory }]);

describe('what a chain names where it has its own', () => {
  it('is the directory that it works in', () => {
    expect(shown(directory, 'node')).toEqual([directory]);
  });

  it('is the directory of a file that a command is given, also by an option', () => {
    expect(shown('/', 'node', join(directory, 'server.js'))).toEqual([directory]);
    expect(shown('/', 'nginx', `--conf=${directory}/server.js`)).toEqual([directory]);
    expect(shown(join(directory, 'site'), 'node', '../server.js')).toEqual([directory]);
  });

  it('is a file alone that lies in /tmp itself', () => {
    const file = `${directory}.js`;
    writeFileSync(file, '');
    expect(shown('/tmp', 'node', file)).toEqual([file]);
    rmSync(file);
  });

  it('is nothing elsewhere, nothing that is not there, and nothing twice', () => {
    expect(shown('/usr', '/bin/true', '/tmp', join(directory, 'absent'), '--x=', 'a\0b')).toEqual([]);
    expect(shown(directory, join(directory, 'server.js'), join(directory, 'site'))).toEqual([directory]);
    expect(shown(undefined, 'true')).toEqual([]);
  });
});
