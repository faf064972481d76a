import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseFdInfo,
  parseFields,
  parseMaps,
  parseMountInfo,
  parseTable,
  parseTimers,
  unescapeName,
} from '../../src/resources/proc-text.ts';

describe('parseMaps', () => {
  it('takes each named object once, with the range it has below map_files', () => {
    const text = [
      '55d0a0000000-55d0a0001000 r--p 00000000 fe:00 1234                       /usr/bin/a program',
      '55d0a0001000-55d0a0002000 r-xp 00001000 fe:00 1234                       /usr/bin/a program',
      '55d0a1000000-55d0a1021000 rw-p 00000000 00:00 0                          [heap]',
      '7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ',
      '7f0000002000-7f0000003000 rw-s 00000000 00:0e 77                         anon_inode:[io_uring]',
      '7f0000004000-7f0000005000 rw-s 00000000 103:05 9                         /odd\\012name (deleted)',
      '',
    ].join('\n');
    expect(parseMaps(text).map(({ range, target }) => [range, target])).toEqual([
      ['55d0a0000000-55d0a0001000', '/usr/bin/a program'],
      ['7f0000002000-7f0000003000', 'anon_inode:[io_uring]'],
      ['7f0000004000-7f0000005000', '/odd\nname (deleted)'],
    ]);
  });
});

describe('parseMountInfo', () => {
  it('reads IDs, place, device and options of the file system', () => {
    const text =
      '67 44 0:39 / /srv/two\\040words rw,relatime shared:1 master:2 - overlay over rw,lowerdir=/,nfs_export=on\nnonsense\n';
    expect([...parseMountInfo(text)]).toEqual([
      [
        67,
        {
          id: 67,
          parent: 44,
          device: '0:39',
          point: '/srv/two words',
          type: 'overlay',
          options: ['rw', 'lowerdir=/', 'nfs_export=on'],
        },
      ],
    ]);
  });
});

describe('parseFdInfo', () => {
  it('reads octal flags, the mount, and keeps the rest', () => {
    const text =
      'pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t91\ntty-index:\t0\nlock:\t1: FLOCK  ADVISORY  WRITE 1 fe:00:2 0 EOF\n';
    expect(parseFdInfo(text)).toEqual({
      flags: 0o2100002,
      mount: 24,
      info: ['tty-index:\t0', 'lock:\t1: FLOCK  ADVISORY  WRITE 1 fe:00:2 0 EOF'],
    });
    expect(parseFdInfo('')).toEqual({ flags: 0, mount: -1, info: [] });
  });
});

describe('the other parsers', () => {
  it('read fields, timers and tables', () => {
    expect(parseFields('Name:\ta: b\nNSpid:\t9\t1\nrest').get('NSpid')).toBe('9\t1');
    const timers =
      'ID: 0\nsignal: 0/0\nnotify: none/pid.9\nClockID: 1\nID: 3\nsignal: 14/0\nnotify: signal/pid.9\nClockID: -6\n';
    expect(parseTimers(timers)).toEqual([
      { id: 0, clock: 1 },
      { id: 3, clock: -6 },
    ]);
    const [row] = parseTable('       key      shmid\n      5193          7\n');
    expect(row?.get('shmid')).toBe('7');
  });

  it('undo the escapes of names', () => {
    expect(unescapeName(String.raw`two\040words\n\134 and \\`)).toBe('two words\n\\ and \\');
  });

  it('never throw, whatever a program calls itself', () => {
    const parsers = [
      parseFields,
      parseMaps,
      parseMountInfo,
      parseFdInfo,
      parseTimers,
      parseTable,
      unescapeName,
    ];
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const parse of parsers) parse(text);
      }),
    );
  });
});
