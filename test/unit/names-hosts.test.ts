/** The block of a hosts file, and the file around it. */
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { lstatSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withBlock } from '../../src/names/hosts-block.ts';
import { HostsFile } from '../../src/names/index.ts';
import type { HostsEntry } from '../../src/names/index.ts';

const ENTRY: HostsEntry = { address: '10.10.0.2', names: ['web', 'web.default.appshot.internal'] };
const WARNING = '# Made anew by AppShot whenever applications come and go: what is changed here is lost.';
const blockOf = (owner: string): string =>
  `# BEGIN appshot ${owner}\n${WARNING}\n10.10.0.2\tweb web.default.appshot.internal\n# END appshot ${owner}\n`;

const LABEL = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const ENTRIES = fc.array(
  fc.record({ address: fc.ipV4(), names: fc.array(LABEL, { minLength: 1, maxLength: 3 }) }),
  { minLength: 1, maxLength: 5 },
);
/** Anything that others may have written, in any encoding, also with what looks like marks; never with those of the owners below. */
const FOREIGN = fc
  .array(
    fc.oneof(
      fc.constantFrom('127.0.0.1 localhost', '', '# BEGIN appshot', '# END appshot somebody', 'x\r', ' \t'),
      fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    ),
  )
  .chain((lines) => fc.constantFrom(lines.join('\n'), lines.map((line) => `${line}\n`).join('')));
const OWNER = fc.oneof(
  fc.constantFrom('/run/appshot', 'à', 'a b'),
  fc.string({ minLength: 1 }).map((text) => `x${text}`),
);

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

describe('the block', () => {
  it('goes to the end, changes in its place, and goes away', () => {
    const before = '127.0.0.1\tlocalhost\n';
    const after = withBlock(before, 'one', [ENTRY]);
    expect(after).toBe(before + blockOf('one'));
    const grown = `${after}::1 ip6\n`;
    const moved = withBlock(grown, 'one', [{ ...ENTRY, address: '10.10.0.9' }]);
    expect(moved).toBe(grown.replace('10.10.0.2', '10.10.0.9'));
    expect(withBlock(moved, 'one', [])).toBe(`${before}::1 ip6\n`);
  });

  it('stands beside those of other owners', () => {
    const both = withBlock(withBlock('', 'one', [ENTRY]), 'one more', [ENTRY]);
    expect(both).toBe(blockOf('one') + blockOf('one more'));
    expect(withBlock(both, 'one', [])).toBe(blockOf('one more'));
    expect(withBlock(both, 'one more', [])).toBe(blockOf('one'));
  });

  it('goes without names that mean something outside of blocks, as long as they do', () => {
    const names = [ENTRY, { address: '10.10.0.3', names: ['db'] }];
    const theirs = `127.0.0.1 localhost\tWEB # db\n127.0.1.1 db\n${blockOf('two')}`;
    expect(withBlock(theirs, 'one', names)).toBe(theirs + blockOf('one').replace('\tweb ', '\t'));
    expect(withBlock(`# 127.0.0.1 web\n${blockOf('two')}`, 'one', [ENTRY])).toContain(blockOf('one'));
    expect(withBlock('127.0.0.1 web web.default.appshot.internal\n', 'one', [ENTRY])).not.toContain('BEGIN');
  });

  it('is made anew when somebody edited it', () => {
    const edited = blockOf('one').replace('10.10.0.2\tweb', '1.2.3.4 other\n\n#').replaceAll('\n', '\r\n');
    expect(withBlock(`a\n${edited}b\n`, 'one', [ENTRY])).toBe(`a\n${blockOf('one')}b\n`);
  });

  it.each([
    ['its beginning', '# BEGIN appshot one\n'],
    ['its end', '# END appshot one\n'],
  ])('that lost %s loses the other mark too, and no line', (_, lost) => {
    const cut = `a\n${blockOf('one').replace(lost, '')}b\n`;
    const lines = blockOf('one').split('\n').slice(1, 3).join('\n');
    expect(withBlock(cut, 'one', [])).toBe(`a\n${lines}\nb\n`);
  });

  it('whose end is behind the block of another does not swallow that', () => {
    const mixed = `# BEGIN appshot one\nx\n${blockOf('two')}y\n# END appshot one\n`;
    expect(withBlock(mixed, 'one', [])).toBe(`x\n${blockOf('two')}y\n`);
  });

  it('leaves all other bytes as they are, whatever they are', () => {
    fc.assert(
      fc.property(FOREIGN, OWNER, ENTRIES, ENTRIES, (text, owner, first, second) => {
        const once = withBlock(text, owner, first);
        expect(once.startsWith(ended(text))).toBe(true);
        expect(withBlock(once, owner, first)).toBe(once);
        expect(withBlock(once, owner, [])).toBe(ended(text));
        expect(withBlock(withBlock(once, owner, second), owner, first)).toBe(once);
        expect(withBlock(text, owner, [])).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  it('of several owners does not depend on who writes when', () => {
    fc.assert(
      fc.property(FOREIGN, fc.array(ENTRIES, { minLength: 2, maxLength: 4 }), (text, all) => {
        const written = all.reduce((sum, entries, index) => withBlock(sum, `owner ${index}`, entries), text);
        const cleared = all.reduceRight((sum, _, index) => withBlock(sum, `owner ${index}`, []), written);
        const other = all.reduce((sum, _, index) => withBlock(sum, `owner ${index}`, []), written);
        expect([cleared, other]).toEqual([ended(text), ended(text)]);
      }),
    );
  });
});

describe('the file', () => {
  let directory = '';
  let path = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'appshot-hosts-'));
    path = join(directory, 'hosts');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('is replaced, with nothing left beside it and all bytes of others kept', async () => {
    const foreign = Buffer.from([...Array(256).keys(), 10]);
    await writeFile(path, foreign);
    const hosts = new HostsFile(path, 'one');
    const { ino } = await stat(path);
    await hosts.write([ENTRY]);
    expect(await readFile(path)).toEqual(Buffer.concat([foreign, Buffer.from(blockOf('one'))]));
    expect((await stat(path)).ino).not.toBe(ino);
    await hosts.clear();
    expect(await readFile(path)).toEqual(foreign);
    expect(await readdir(directory)).toEqual(['hosts']);
  });

  it('keeps its mode, whatever the umask, and is not touched when nothing changes', async () => {
    await writeFile(path, 'a\n');
    await chmod(path, 0o664);
    const hosts = new HostsFile(path, 'one');
    await hosts.write([ENTRY]);
    const { mode, ino } = await stat(path);
    expect(mode & 0o7777).toBe(0o664);
    await hosts.write([ENTRY]);
    expect((await stat(path)).ino).toBe(ino);
  });

  it.runIf(process.getuid?.() === 0)('keeps its owner', async () => {
    await writeFile(path, '');
    await chown(path, 1234, 2345);
    await new HostsFile(path, 'one').write([ENTRY]);
    const { uid, gid } = await stat(path);
    expect([uid, gid]).toEqual([1234, 2345]);
  });

  it('is made, readable to all, when it is missing', async () => {
    await new HostsFile(path, 'one').write([ENTRY]);
    expect(await readFile(path, 'utf8')).toBe(blockOf('one'));
    expect((await stat(path)).mode & 0o7777).toBe(0o644);
  });

  it('is not made to be empty', async () => {
    await new HostsFile(path, 'one').clear();
    expect(await readdir(directory)).toEqual([]);
  });

  it('behind a link changes, and the link stays', async () => {
    await writeFile(join(directory, 'real'), 'a\n');
    await symlink('real', path);
    await new HostsFile(path, 'one').write([ENTRY]);
    expect(lstatSync(path).isSymbolicLink()).toBe(true);
    expect(await readFile(join(directory, 'real'), 'utf8')).toBe(`a\n${blockOf('one')}`);
  });

  it('has what was asked for last, and is not written for each that waited', async () => {
    const hosts = new HostsFile(path, 'one');
    const changes = Array.from({ length: 500 }, (_, index) => [{ ...ENTRY, names: [`web-${index}`] }]);
    await Promise.all(changes.map((entries) => hosts.write(entries)));
    expect(await readFile(path, 'utf8')).toContain('\tweb-499\n');
    await hosts.clear();
    expect(await readFile(path, 'utf8')).toBe('');
  });

  it('is written again after a failure', async () => {
    const hosts = new HostsFile(join(directory, 'missing', 'hosts'), 'one');
    await expect(hosts.write([ENTRY])).rejects.toMatchObject({ code: 'ENOENT' });
    await mkdir(join(directory, 'missing'));
    await hosts.write([ENTRY]);
    expect(await readFile(join(directory, 'missing', 'hosts'), 'utf8')).toBe(blockOf('one'));
  });

  it('holds the blocks of all who write at once', async () => {
    await writeFile(path, 'a\n');
    const owners = Array.from({ length: 8 }, (_, index) => `owner ${index}`);
    await Promise.all(owners.map((owner) => new HostsFile(path, owner).write([ENTRY])));
    const text = await readFile(path, 'utf8');
    for (const owner of owners) expect(text).toContain(blockOf(owner));
    await Promise.all(owners.map((owner) => new HostsFile(path, owner).clear()));
    expect(await readFile(path, 'utf8')).toBe('a\n');
  });
});
