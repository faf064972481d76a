/** Rules that contradict each other, and where redirections and links may lead. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppShotError } from '../../src/common/index.ts';
import { checkPlace, checkSource } from '../../src/templates/places.ts';
import {
  checkRules,
  joinRules,
  parseLinks,
  parseRules,
  resolvePaths,
} from '../../src/templates/rules/index.ts';
import type { Instance } from '../../src/templates/rules/index.ts';

const instance: Instance = {
  aid: '01JD',
  name: 'web',
  hostname: 'web',
  address: '10.10.0.7',
  instance: 1,
  node: 'lab',
  template: '',
  generation: 0,
};

/** What is wrong with texts that are joined in this order; empty when nothing is. */
const verdictOn = (...texts: readonly string[]): string => {
  try {
    checkRules(joinRules(texts.map((text, index) => parseRules(text, `r${index + 1}`))));
    return '';
  } catch (error) {
    if (error instanceof AppShotError && error.code === 'BAD_RULES') return error.message;
    throw error;
  }
};

const resolve = (text: string, environment: Record<string, string> = {}) =>
  resolvePaths(parseRules(text, 'r'), instance, environment).map(({ kind, path, target }) => [
    kind,
    path,
    target,
  ]);

const redirect = (from: string, to: string): string => `REDIR PATH "${from}" TO "${to}"`;
const link = (path: string, target: string): string => `LINK PATH "${path}" TO "${target}"`;

describe('checkRules', () => {
  it.each([
    ['DEFINE <X> AS PROPERTY name', 'DEFINE <X> AS PROPERTY NAME'],
    ['CLASSIFY FILE "/a" AS SHARED', 'CLASSIFY FILE "/a" AS SHARED'],
    ['CLASSIFY FILE "/a" AS SHARED', 'CLASSIFY FILE "/a" FOR WRITE AS DUPLICATE'],
    ['CLASSIFY FILE "/a" AS SHARED', 'CLASSIFY DIRECTORY "/a" AS PLAIN'],
    ['ON CLONE SIGNAL HUP', 'ON CLONE SIGNAL HUP'],
    [redirect('/a', '/x'), redirect('/a/b', '/y')],
    [redirect('/a', '/x'), redirect('/ab', '/y')],
    [redirect('/a/b', '/a/c'), link('/a/d', '/a/<AID>')],
    [link('/a/b', '/a/b-<AID>'), link('/a/c', '/ab')],
  ])('takes %s with %s', (...texts) => {
    expect(verdictOn(...texts)).toBe('');
    expect(verdictOn(texts.join('\n'))).toBe('');
    expect(verdictOn(...texts.toReversed())).toBe('');
  });

  it.each([
    ['DEFINE <X> AS PROPERTY name', 'DEFINE <X> AS PROPERTY node', '9: ', 'defines <X> as something else'],
    ['DEFINE <X> AS PROPERTY name', 'DEFINE <X> AS ENVIRONMENT "name"', '9: ', 'defines <X> as something'],
    ['SET ENV "A" = "x"', 'SET ENV "A" = "x"', '10: ', 'sets A already'],
    ['CLASSIFY FILE "/a" AS SHARED', 'CLASSIFY FILE "/a" AS PLAIN', '10: ', 'classifies the same as SHARED'],
    ['CLASSIFY FILE FOR ANY AS PLAIN', 'CLASSIFY FILE AS SHARED', '10: ', 'classifies the same as PLAIN'],
    [redirect('/a', '/b'), redirect('/a', '/c'), '13: ', 'redirects /a already'],
    [redirect('/a', '/b'), link('/a', '/c'), '12: ', 'redirects /a already'],
    [link('/a', '/b'), link('/a', '/b'), '12: ', 'links /a already'],
    [link('/a', '/b'), link('/a/b/c', '/d'), '12: /a/b/c is below /a, and ', 'links /a: only one'],
    [redirect('/a', '/b'), link('/a/b', '/d'), '12: /a/b is below /a, and ', 'redirects /a: only one'],
    [redirect('/a', '/b'), redirect('/b', '/c'), '13: ', 'within /b; name the final place there'],
    [redirect('/b', '/c'), redirect('/a', '/b/<AID>'), '13: the target is within /b', 'leads elsewhere'],
    [redirect('/a', '/b/x'), redirect('/b', '/a/y'), '13: ', ''],
    [link('/a', '/b'), link('/b', '/a'), '12: ', ''],
  ])('refuses %s with %s', (first, second, where, why) => {
    const joined = verdictOn(first, second);
    expect(joined).toContain(`r2:1:${where}`);
    expect(joined).toContain('r1:1');
    expect(joined).toContain(why);
    expect(verdictOn(`${first}\n${second}`)).toContain(`r1:2:${where}`);
  });

  it('names the later of two in one text, whichever rule comes first', () => {
    expect(verdictOn(`${link('/a', '/b')}\n\n${redirect('/a', '/c')}`)).toBe(
      'r1:3:13: r1:1 links /a already',
    );
    expect(verdictOn(`${link('/a/b', '/x')}\n${redirect('/a', '/c')}`)).toContain(
      'r1:2:13: /a/b is below /a',
    );
  });

  it.each(['/a', '/a/b', '/a/<AID>', '/a/x-<AID>/y'])('refuses /a with the target %s', (target) => {
    expect(verdictOn(redirect('/a', target))).toContain('r1:1:13: the target is within /a itself');
    expect(verdictOn(link('/a', target))).toContain('r1:1:12: the target is within /a itself');
  });

  it('looks at links that come as options as at those of rules', () => {
    const options = parseLinks([{ path: '/a', target: '/b' }], '--link');
    expect(() => checkRules(joinRules([options, parseRules(link('/a', '/c'), 'r')]))).toThrow(
      'r:1:12: --link:1 links /a already',
    );
  });
});

describe('parseLinks', () => {
  it('takes predefined variables', () => {
    const set = parseLinks([{ path: '/data', target: '/srv/<AID>/<ENV:A>' }], '--link');
    expect(resolvePaths(set, instance, { A: 'x' })).toMatchObject([
      { kind: 'link', path: '/data', target: '/srv/01JD/x', rule: { text: '/data=/srv/<AID>/<ENV:A>' } },
    ]);
    expect(() => resolvePaths(set, instance, {})).toThrow('--link:1:18: the variable A is not set');
  });

  it.each([
    ['/data', '/srv/<AIDS>', 'BAD_RULES', '--link:2:12: the variable <AIDS> is not defined'],
    ['/data', '/srv/<', 'BAD_RULES', '--link:2:12: a variable is written <NAME>'],
    ['/proc/x', '/srv', 'LINK_OUTSIDE', 'the path of a link cannot be /proc/x: /proc is not'],
    ['/etc/hostname', '/srv', 'LINK_OUTSIDE', '/etc/hostname follows the identity'],
  ])('refuses %s=%s', (path, target, code, message) => {
    const links = [
      { path: '/fine', target: '/x' },
      { path, target },
    ];
    expect(() => parseLinks(links, '--link')).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error,
    );
  });
});

describe('resolvePaths', () => {
  it('puts outer paths before those within them', () => {
    const text = [redirect('/a/b/c', '/x/<NAME>'), link('/l', '/y'), redirect('/a/b', '/z')].join('\n');
    expect(resolve(text)).toEqual([
      ['link', '/l', '/y'],
      ['redirect', '/a/b', '/z'],
      ['redirect', '/a/b/c', '/x/web'],
    ]);
  });

  it.each([
    [link('/a', 'b'), {}, 'the target of the link /a cannot be b: give an absolute path'],
    [link('/a', '<ENV:X>'), { X: '/proc/1' }, 'the target of the link /a cannot be /proc/1: /proc is not'],
    [
      redirect('/a', '/x/<ENV:X>'),
      { X: '../etc' },
      'redirection of /a cannot be /x/../etc: it may not hold ..',
    ],
    [redirect('/a', '/x/<TEMPLATE>/y'), {}, 'cannot be /x//y: write it as /x/y'],
    [redirect('/a', '<ENV:X>'), { X: '/a/b' }, 'cannot be /a/b: it would lead to itself'],
    [
      `${redirect('/a', '/<NAME>/x')}\n${link('/web', '/y')}`,
      {},
      'cannot be /web/x: /web leads elsewhere; name the final place',
    ],
  ])('refuses %s with %j', (text, environment, message) => {
    expect(() => resolve(text, environment)).toThrow(
      expect.objectContaining({
        code: 'LINK_OUTSIDE',
        message: expect.stringContaining(message) as string,
      }) as Error,
    );
  });
});

describe('checkPlace', () => {
  it.each(['/a', '/a/b', '/dev/shm', '/dev/shm/x', '/process', '/etc/hosts', '/.appshot2', '/a/..b', '/é'])(
    'takes %s',
    (path) => expect(() => checkPlace(path, 'it')).not.toThrow(),
  );

  it.each([
    ['', 'give an absolute path'],
    ['a', 'give an absolute path'],
    ['/', 'it may not be the root itself'],
    ['/a/', 'write it as /a'],
    ['/a//b', 'write it as /a/b'],
    ['/./a', 'write it as /a'],
    ['//', 'write it as /'],
    ['/a/..', 'it may not hold ..'],
    ['/a\0', 'a zero byte cannot be passed'],
    ['/proc', "/proc is not the application's own"],
    ['/sys/x', "/sys is not the application's own"],
    ['/dev/null', "/dev is not the application's own"],
    ['/dev/shmx', "/dev is not the application's own"],
    ['/.appshot/rules', "/.appshot is not the application's own"],
    [`/${'x'.repeat(256)}`, 'a path has 4095 bytes at most, and each name in it 255'],
    ['/x'.repeat(2048), 'a path has 4095 bytes at most'],
  ])('refuses %j', (path, reason) => {
    expect(() => checkPlace(path, 'it')).toThrow(reason);
    expect(() => checkSource(path, 'it')).toThrow(reason);
  });

  it('takes what is an own path, and nothing that the kernel would take elsewhere', () => {
    const isTaken = (path: string): boolean => {
      try {
        checkPlace(path, 'it');
        return true;
      } catch (error) {
        if (error instanceof AppShotError && error.code === 'LINK_OUTSIDE') return false;
        throw error;
      }
    };
    const name = fc.constantFrom('a', '..', '.', '', 'proc', 'sys', 'dev', 'shm', '.appshot', 'x');
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 5 }), (names) => {
        const isPlain = names.every((part) => !['', '.', '..'].includes(part));
        const isOwn = !['proc', 'sys', '.appshot', 'dev'].includes(names[0] ?? '');
        const isMemory = names[0] === 'dev' && names[1] === 'shm';
        expect(isTaken(`/${names.join('/')}`)).toBe(isPlain && (isOwn || isMemory));
      }),
      { numRuns: 1000 },
    );
  });
});
