/** What rules of CLASSIFY single out among an application's own files. */
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/snapshots/index.ts';
import { expandOverrides, missingPath } from '../../src/templates/classify/overrides.ts';
import type { Classification, ClassifyInput } from '../../src/templates/classify/found.ts';
import { classifyResources } from '../../src/templates/classify/classify.ts';
import { refusals } from '../../src/templates/classify/refusals.ts';
import { layerOf } from '../../src/templates/layers.ts';
import { inputOf, mapping, object, process, rule, socket } from './templates-input.ts';

const COMMON = { mode: 0o644, uid: 0, gid: 0, mtime: '0' };
const file = (path: string): Entry => ({ ...COMMON, path, type: 'file', size: 0, data: '' });
const directory = (path: string): Entry => ({ ...COMMON, path, type: 'directory' });

const TREE: readonly Entry[] = [
  ...['shm', 'shm/a'].map((path, index) => (index === 0 ? directory(path) : file(path))),
  directory('shown/0/upper'),
  file('shown/0/upper/notes'),
  ...['upper', 'upper/.appshot', 'upper/data', 'upper/etc'].map(directory),
  file('upper/etc/hosts'),
  directory('upper/srv'),
  directory('upper/srv/x'),
  file('upper/srv/x/1'),
  directory('upper/srv/x/deep'),
  file('upper/srv/x/deep/2'),
  { ...COMMON, path: 'upper/srv/x/gone', type: 'character', device: [0, 0] },
  { ...COMMON, path: 'upper/srv/x/link', type: 'symlink', target: '/etc' },
  file('upper/srv/y.pid'),
];

/** `file /srv/x/** duplicate`, without a pattern for `*`. */
const rulesOf = (...texts: readonly string[]): ClassifyInput['rules'] => ({
  ...inputOf().rules,
  classifications: texts.map((text, index): Classification => {
    const [type, pattern, chosen] = text.split(' ') as [
      Classification['type'],
      string,
      Classification['class'],
    ];
    const own = { ...rule, line: index + 1, type, access: 'any' as const, class: chosen };
    return { ...own, pattern: pattern === '*' ? null : pattern };
  }),
});

const expand = (...texts: readonly string[]): ReturnType<typeof expandOverrides> =>
  expandOverrides({
    rules: rulesOf(...texts),
    places: { links: [{ path: '/link', target: '/srv/x/deep' }], redirects: [] },
    entries: TREE,
    shown: ['/tmp/shown'],
    volumes: [{ target: '/data' }],
  });

const paths = (...texts: readonly string[]): string[] => {
  const { paths: found, reasons } = expand(...texts);
  expect(reasons).toEqual([]);
  return found.map(({ path, kind, class: chosen, rule: by }) => `${chosen} ${kind} ${path} ${by.line}`);
};

describe('patterns', () => {
  it.each([
    [['file /srv/x/** duplicate'], ['duplicate directory /srv/x 1']],
    [['directory /srv/x duplicate'], ['duplicate directory /srv/x 1']],
    [['file /srv/x/* duplicate'], ['duplicate file /srv/x/1 1']],
    [['directory /srv/* duplicate'], ['duplicate directory /srv/x 1']],
    [['file **/2 duplicate'], ['duplicate file /srv/x/deep/2 1']],
    [['file /srv/*.pid virtualize'], ['virtualize file /srv/y.pid 1']],
    [['file /dev/shm/* shared'], ['shared file /dev/shm/a 1']],
    [['file /tmp/shown/* virtualize'], ['virtualize file /tmp/shown/notes 1']],
    [['file /data/** duplicate'], []],
    [['file /.appshot/** duplicate'], []],
    [['file /usr/** virtualize'], []],
    [['file /srv/x/** plain'], []],
    [
      ['file * duplicate'],
      ['file /dev/shm/a', 'file /tmp/shown/notes', 'directory /etc', 'directory /srv'].map(
        (path) => `duplicate ${path} 1`,
      ),
    ],
  ])('of %j lead to %j', (texts, expected) => {
    expect(paths(...texts)).toEqual(expected);
  });

  it('within others count when they come later', () => {
    expect(paths('file /srv/** duplicate', 'file /srv/y.pid virtualize')).toEqual([
      'duplicate directory /srv 1',
      'virtualize file /srv/y.pid 2',
    ]);
    expect(paths('file /srv/y.pid virtualize', 'file /srv/** duplicate')).toEqual([
      'duplicate directory /srv 2',
    ]);
    expect(paths('directory /srv duplicate', 'file /srv/y.pid plain')).toEqual([
      'duplicate directory /srv 1',
    ]);
  });
});

describe('what cannot be', () => {
  it.each([
    [['file * virtualize'], 'web.rules:1 wants the class virtualize for everything: give it a pattern'],
    [['file /** shared'], 'web.rules:1 wants the class shared for everything: give it a pattern'],
    [
      ['file /srv/x/** virtualize'],
      "web.rules:1 wants the class virtualize for /srv/x, but /srv/x/deep is each clone's own place already",
    ],
    [
      ['directory /etc shared'],
      'web.rules:1 wants the class shared for /etc, but /etc/hosts follows the identity of each clone',
    ],
    [['file /srv/z shared'], "web.rules:1 shares nothing: no file of the application's own fits"],
  ])('%j is told', (texts, reason) => {
    expect(expand(...texts).reasons).toEqual([reason]);
  });

  it('is another class within what is shared', () => {
    const { reasons } = expandOverrides({
      rules: rulesOf('directory /srv/x shared', 'file /srv/x/1 plain'),
      entries: TREE,
      shown: [],
      volumes: [],
    });
    expect(reasons).toEqual([
      'web.rules:2 wants the class plain for /srv/x/1, which lies within what web.rules:1 shares',
    ]);
  });

  it('is more than a template can list', () => {
    const entries = [
      directory('upper'),
      ...Array.from({ length: 5000 }, (_, n) => file(`upper/f${n + 10_000}`)),
    ];
    const { reasons } = expandOverrides({
      rules: rulesOf('file /f* duplicate'),
      entries,
      shown: [],
      volumes: [],
    });
    expect(reasons).toEqual([
      'web.rules:1 is about more than 4096 paths: name the directory that they lie in',
    ]);
  });
});

describe('a template', () => {
  const ruled = (text: string): Pick<ClassifyInput, 'ruled'> & { rules: ClassifyInput['rules'] } => {
    const rules = rulesOf(text);
    return { rules, ruled: expandOverrides({ rules, entries: TREE, shown: [], volumes: [] }) };
  };

  it('has what rules single out in its table', () => {
    const objects = [
      object('file', { name: '/srv/x/1', writes: true }),
      object('file', { name: '/usr/lib/a' }),
    ];
    const table = classifyResources(inputOf({ objects }, ruled('file /srv/x/** duplicate')));
    expect(table.filter(({ rule: by }) => by !== null).map(({ type, name }) => [type, name])).toEqual([
      ['file', '/srv/x/1'],
      ['directory', '/srv/x'],
    ]);
    expect(table.find(({ name }) => name === '/usr/lib/a')).toMatchObject({ classes: ['plain'], rule: null });
  });

  it('must not have in use what is to begin blank', () => {
    const words = 'web.rules:1 wants /srv/x to begin empty in clones, but web (1001) holds';
    const why = (summary: Parameters<typeof inputOf>[0]): string[] =>
      refusals(inputOf(summary, ruled('directory /srv/x virtualize')));
    expect(why({ objects: [object('file', { name: '/srv/x/1' })] })).toEqual([`${words} /srv/x/1`]);
    expect(why({ objects: [object('fifo', { name: '/srv/x/fifo' })] })).toEqual([`${words} /srv/x/fifo`]);
    expect(why({ objects: [socket('unix', '/srv/x/s', '', 'listening')] })).toEqual([`${words} /srv/x/s`]);
    const mappings = [mapping({ kind: 'file', path: '/srv/x/1' })];
    expect(why({ processes: [process(1001, { mappings })] })).toEqual([`${words} /srv/x/1`]);
    expect(why({ processes: [process(1001, { workingDirectory: '/srv/x' })] })).toEqual([`${words} /srv/x`]);
    expect(why({ objects: [object('file', { name: '/srv/x/1', deleted: true })] })).toEqual([]);
    expect(why({ objects: [object('file', { name: '/srv/xy' })] })).toEqual([]);
  });

  it('must have for itself alone what is to be shared', () => {
    const summary = {
      locks: [{ pid: 1001, path: '/srv/x/1', kind: 'flock' as const, exclusive: true }],
      objects: [object('file', { name: '/srv/x/old', deleted: true })],
    };
    expect(refusals(inputOf(summary, ruled('directory /srv/x shared')))).toEqual([
      'web (1001) has locked /srv/x/1, which clones are to share: only one application could hold the lock',
      'web (1001) has /srv/x/old open, which has no name any more, where clones are to share',
    ]);
  });

  it('duplicates memory as a whole', () => {
    expect(expand('memory * duplicate').memory).toBe('duplicate');
    expect(expand('memory * duplicate', 'memory * copy-on-write').memory).toBeNull();
    const own = [process(1001, { mappings: [mapping({ layered: true })] })];
    const input = inputOf({ processes: own }, ruled('memory * duplicate'));
    expect(refusals(input)).toEqual([]);
    expect(classifyResources(input).find(({ type }) => type === 'memory')).toMatchObject({
      classes: ['duplicate'],
      action: 'copied: private from the start',
    });
  });

  it('that arrives must have what it singles out', () => {
    const one = (path: string, kind: 'file' | 'directory') =>
      missingPath({ memory: null, paths: [{ path, kind, class: 'duplicate' }] }, TREE, []);
    expect(one('/srv/x', 'directory')).toBeUndefined();
    expect(one('/srv/x/1', 'file')).toBeUndefined();
    for (const [path, kind] of [
      ['/srv/x', 'file'],
      ['/srv/x/link', 'directory'],
      ['/srv/x/link/hosts', 'file'],
      ['/etc/passwd', 'file'],
    ] as const)
      expect(one(path, kind)).toBe(path);
  });
});

it('paths lie in the layer that shows them', () => {
  const shown = ['/tmp/shown'];
  expect(layerOf('/srv/x', shown)).toEqual({ root: 'upper', below: 'srv/x' });
  expect(layerOf('/dev/shm/a', shown)).toEqual({ root: 'shm', below: 'a' });
  expect(layerOf('/tmp/shown/a', shown)).toEqual({ root: 'shown/0/upper', below: 'a' });
  expect(layerOf('/tmp/shown', shown)).toEqual({ root: 'upper', below: 'tmp/shown' });
});
