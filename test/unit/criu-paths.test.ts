/** Files of a dump under other names. */
import { describe, expect, it } from 'vitest';
import { ImageError, decodeImage, encodeImage, movePaths } from '../../src/criu/index.ts';
import type { Fields, Image } from '../../src/criu/index.ts';
import { schemas } from './criu-schema.ts';

const filesOf = (...messages: Fields[]): Image => ({
  name: 'files.img',
  magics: [],
  entries: messages.map((message) => ({ message })),
});
const file = (name: string): Fields => ({ reg: { name } });
const socket = (name: string, more: Fields = {}): Fields => ({ usk: { name: Buffer.from(name), ...more } });
const messages = ({ entries }: Image): Fields[] => entries.map(({ message }) => message);
const names = (files: Image): unknown[] =>
  messages(files).map((message) => (message['reg'] as Fields)['name']);

describe('paths of a dump', () => {
  const moves = [{ from: '/srv/1', to: '/srv/two' }];

  it('move with the directory that they lie in, and those beside it stay', () => {
    const files = filesOf(...['/srv/1', '/srv/1/a/b', '/srv/10/a', '/srv', '/x/srv/1'].map(file));
    expect(movePaths(files, moves)).toBe(2);
    expect(names(files)).toEqual(['/srv/two', '/srv/two/a/b', '/srv/10/a', '/srv', '/x/srv/1']);
  });

  it('move once, the deepest directory first', () => {
    const files = filesOf(...['/a/x', '/b/x', '/a/b/x'].map(file));
    const swap = [
      { from: '/a', to: '/b' },
      { from: '/b', to: '/a' },
      { from: '/a/b', to: '/c' },
    ];
    expect(movePaths(files, swap)).toBe(3);
    expect(names(files)).toEqual(['/b/x', '/a/x', '/c/x']);
  });

  it('of sockets move, with the bytes that end them; abstract names stay', () => {
    const files = filesOf(
      socket('/srv/1/s'),
      socket('/srv/1/s\0'),
      socket('s', { nameDir: '/srv/1' }),
      socket('\0/srv/1/s'),
      socket('', {}),
    );
    expect(movePaths(files, moves)).toBe(3);
    expect(messages(files)).toEqual([
      socket('/srv/two/s'),
      socket('/srv/two/s\0'),
      socket('s', { nameDir: '/srv/two' }),
      socket('\0/srv/1/s'),
      socket('', {}),
    ]);
  });

  it('of sockets cannot become longer than the kernel allows', () => {
    const long = [{ from: '/srv/1', to: `/${'x'.repeat(106)}` }];
    expect(() => movePaths(filesOf(socket('/srv/1/s')), long)).toThrow(ImageError);
  });

  it('that are watched move', () => {
    const watch = (path?: string): Fields => ({ fHandle: { bytes: 1, ...(path && { path }) } });
    const files = filesOf(
      { ify: { wd: [watch('/srv/1'), watch(), watch('/etc')] } },
      { ffy: { mark: [{ ie: watch('/srv/1/x') }, { me: { mntId: 1 } }] } },
      { ify: { wd: [] } },
      { efd: { counter: 1n } },
    );
    expect(movePaths(files, moves)).toBe(2);
    expect(messages(files).slice(0, 2)).toEqual([
      { ify: { wd: [watch('/srv/two'), watch(), watch('/etc')] } },
      { ffy: { mark: [{ ie: watch('/srv/two/x') }, { me: { mntId: 1 } }] } },
    ]);
  });
});

const [COMMON, FILES] = [0x54564319, 0x56303138];

describe.each(schemas.slice(1))('by %s, paths', (_, schema) => {
  it('are what is written', () => {
    const fown = { uid: 0, euid: 0, signum: 0, pidType: 0, pid: 0 };
    const common = { flags: 0, fown };
    const handle = { bytes: 8, type: 1, handle: [1n], path: '/srv/1/w' };
    const watch = { id: 3, iIno: 1n, mask: 1, ignoredMask: 0, sDev: 1, wd: 1, fHandle: handle };
    const image: Image = {
      name: 'files.img',
      magics: [COMMON, FILES],
      entries: [
        { message: { type: 1, id: 1, reg: { id: 1, pos: 0n, name: '/srv/1/a', ...common } } },
        { message: { type: 6, id: 3, ify: { id: 3, wd: [watch], ...common } } },
      ],
    };
    const files = decodeImage(schema, 'files.img', encodeImage(schema, image));
    expect(movePaths(files, [{ from: '/srv/1', to: '/srv/2' }])).toBe(2);
    const written = Buffer.from(encodeImage(schema, files));
    expect(written.includes('/srv/2/a')).toBe(true);
    expect(written.includes('/srv/2/w')).toBe(true);
    expect(written.includes('/srv/1')).toBe(false);
  });
});
