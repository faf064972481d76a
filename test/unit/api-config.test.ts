import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/api/config.ts';
import { ChainSpec } from '../../src/api/index.ts';
import { AppShotError } from '../../src/common/index.ts';

const parse = (text: string, environment: Record<string, string> = {}): ChainSpec =>
  parseConfig(text, { file: 'appshot.yaml', directory: '/srv/shop', environment });

const failure = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof AppShotError && error.code === 'BAD_CONFIG') return error.message;
    throw error;
  }
  throw new Error('it was taken');
};

/** Whether it was taken, as what the daemon takes, or why not. */
const outcome = (text: string): string => {
  try {
    return ChainSpec.safeParse(parse(text, { A: 'x' })).success
      ? 'taken'
      : 'taken, but the daemon will refuse it';
  } catch (error) {
    return error instanceof AppShotError && error.code === 'BAD_CONFIG' ? error.message : String(error);
  }
};

/** Any text will do: the daemon reads the rules. */
const rulesFile = join(import.meta.dirname, 'api-config.test.ts');

const minimal = 'name: web\nprocesses: {web: {command: node}}\n';

describe('parseConfig', () => {
  it('takes every key', () => {
    const spec = parse(
      `
name: shop
aid: shop-1
hostname: shop-host
address: 10.10.0.5
networks: [blue]
service: shops
idle: 30s
memory: lazy
limits: {memory: 512m, pids: 200, cpus: 1.5}
volumes:
  - ./data:/data:ro
  - {source: ~/cache, target: /cache/, readOnly: false}
  - {source: /var/x, target: /x, read_only: true}
capabilities: {add: [net_admin], drop: [CAP_CHOWN]}
rules: |
  # costs 1 $$
  LINK PATH "/a" TO "/b/<AID>"
rules_file: $RULES
links: [/data=/srv/<AID>=x, {path: /d=e, target: /f}]
processes:
  web:
    command: node server.js --title "hello world"
    environment: {PORT: 8080, VERSION: 1.10, DEBUG: no, EMPTY: ""}
    user: www-data
    working_dir: app
  cache:
    command: [redis-server, --port, 6379]
    environment: [A=1, B=x=y]
`,
      { RULES: rulesFile },
    );
    expect(spec).toEqual({
      name: 'shop',
      aid: 'shop-1',
      hostname: 'shop-host',
      address: '10.10.0.5',
      network: 'blue',
      service: 'shops',
      idle: 30,
      memory: 'lazy',
      limits: { memory: 512 * 1024 ** 2, pids: 200, cpus: 1.5 },
      volumes: [
        { source: '/srv/shop/data', target: '/data', readOnly: true },
        { source: `${homedir()}/cache`, target: '/cache', readOnly: false },
        { source: '/var/x', target: '/x', readOnly: true },
      ],
      capabilities: { add: ['NET_ADMIN'], drop: ['CHOWN'] },
      rules: [
        { file: 'appshot.yaml rules', text: '# costs 1 $\nLINK PATH "/a" TO "/b/<AID>"\n' },
        { file: rulesFile, text: readFileSync(rulesFile, 'utf8') },
      ],
      links: [
        { path: '/data', target: '/srv/<AID>=x' },
        { path: '/d=e', target: '/f' },
      ],
      processes: [
        {
          name: 'web',
          command: ['node', 'server.js', '--title', 'hello world'],
          environment: { PORT: '8080', VERSION: '1.10', DEBUG: 'no', EMPTY: '' },
          user: 'www-data',
          workingDirectory: '/srv/shop/app',
        },
        { name: 'cache', command: ['redis-server', '--port', '6379'], environment: { A: '1', B: 'x=y' } },
      ],
    });
    expect(ChainSpec.parse(spec)).toEqual(spec);
  });

  it('takes null and ~ for no value, unless they are quoted', () => {
    expect(parse('name: "null"\nprocesses: {web: {command: [x, "~"]}}')).toMatchObject({
      name: 'null',
      processes: [{ command: ['x', '~'] }],
    });
    expect(failure(`${minimal}hostname: null`)).toContain('hostname: it has no value');
  });

  it('reads a file of rules beside it, and either without the other', () => {
    const own = { file: rulesFile, directory: dirname(rulesFile), environment: {} };
    const read = (more: string) => parseConfig(`${minimal}${more}`, own).rules;
    expect(read('rules_file: api-config.test.ts')).toMatchObject([{ file: rulesFile }]);
    expect(read('rules: ON CLONE SIGNAL HUP')).toEqual([
      { file: `${rulesFile} rules`, text: 'ON CLONE SIGNAL HUP' },
    ]);
    expect(read('')).toBeUndefined();
  });

  it('takes services for processes, anchors, merges and extensions', () => {
    const { processes } = parse(`
x-base: &base {user: nobody, environment: {A: 1}}
name: web
services:
  one: {<<: *base, command: a}
  two: {<<: [*base], command: b, user: daemon}
`);
    expect(processes).toEqual([
      { name: 'one', command: ['a'], user: 'nobody', environment: { A: '1' } },
      { name: 'two', command: ['b'], user: 'daemon', environment: { A: '1' } },
    ]);
  });

  it('gives a variable without a value that of the caller', () => {
    const text =
      'name: web\nprocesses: {web: {command: x, environment: [TOKEN]}, b: {command: x, environment: {TOKEN: }}}';
    const environments = parse(text, { TOKEN: 't' }).processes.map(({ environment }) => environment);
    expect(environments).toEqual([{ TOKEN: 't' }, { TOKEN: 't' }]);
  });

  it('refuses more than a mebibyte', () => {
    expect(failure(`${minimal}# ${'x'.repeat(1 << 20)}`)).toContain('larger than 1048576 bytes');
  });

  it('refuses a great many duplicate-free keys in a moment', () => {
    const keys = Array.from({ length: 50_000 }, (_, index) => `key${index}: 1`);
    expect(failure(keys.join('\n'))).toContain('key0: unknown key');
  });

  it('refuses aliases that stand for too much', () => {
    const level = (name: string, of: string) =>
      `${name}: &${name} [${Array.from({ length: 20 }, () => `*${of}`).join(', ')}]`;
    expect(
      failure(`a: &a [x]\n${level('b', 'a')}\n${level('c', 'b')}\n${level('d', 'c')}\n${level('e', 'd')}`),
    ).toContain('more than 100000 values');
    expect(failure('a: &a [*a]')).toContain('nested too deeply');
    expect(failure(`${'['.repeat(5000)}${']'.repeat(5000)}`)).toContain('nested too deeply');
  });
});

describe('docs/appshot-yaml.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/appshot-yaml.md'), 'utf8');

  it('has an example that is taken', () => {
    const [, example = ''] = /```yaml\n([^]*?)```/.exec(page) ?? [];
    expect(parse(example).processes.map(({ name }) => name)).toEqual(['cache', 'web']);
  });

  it('tells of every key', () => {
    const known = [failure('?: 1'), failure('name: web\nprocesses: {a: {"?": 1, command: x}}')].join(', ');
    const keys = known
      .replace(/^.*?known are | .*?known are /g, ' ')
      .split(', ')
      .map((key) => key.trim());
    expect(keys).toContain('working_dir');
    expect(keys.filter((key) => !page.includes(`\`${key}\``))).toEqual([]);
  });
});

describe('an error of appshot.yaml', () => {
  it.each([
    ['', '1:1: the file: it is empty'],
    ['[]', '1:1: the file: it must be a mapping'],
    ['name: web', '1:1: processes: name at least one process'],
    ['processes: {a: {command: x}}', '1:1: name: it is missing'],
    ['nmae: web\nprocesses: {a: {command: x}}', '1:1: nmae: unknown key; did you mean name?'],
    ['name: web\nprocesses: {a: {command: x, environment: [[A]]}}', 'environment.0: it must be text'],
    [`${minimal}name: x`, '3:1: name: the key is there twice'],
    [`${minimal}services: {}`, '3:1: services: processes and services are two names for the same'],
    [`${minimal}---\nname: y`, '4:1: the file: a file describes one application'],
    [`${minimal}address: 10.1`, '3:1: address: Invalid IPv4 address'],
    [`${minimal}idle: 30`, "3:1: idle: '30' is not a duration"],
    [`${minimal}idle: 0s`, '3:1: idle: it must be at least 0.1'],
    [`${minimal}memory: 512m`, '3:1: memory: Invalid option: expected one of "auto"|"layer"'],
    [`${minimal}limits:\n  memory: lots`, "4:3: limits.memory: 'lots' is not a size"],
    [`${minimal}limits:\n  memory: 1k`, '4:3: limits.memory: it must be at least 4194304'],
    [`${minimal}limits:\n  pids: many`, "4:3: limits.pids: 'many' is not a number"],
    [`${minimal}limits:`, '3:1: limits: it has no value'],
    [`${minimal}volumes:\n  - data:/data`, "4:5: volumes.0: 'data' is not a path"],
    [`${minimal}volumes:\n  - ./data`, "4:5: volumes.0: './data' is not source:target"],
    [`${minimal}volumes: [./a:/x, ./b:/x/]`, '3:19: volumes.1: another volume has the target /x'],
    [`${minimal}volumes: [{source: /a, target: b}]`, '3:24: volumes.0.target: give an absolute path'],
    [`${minimal}rules_file: none.rules`, '3:1: rules_file: /srv/shop/none.rules cannot be read: it does not'],
    [`${minimal}rules_file: /proc`, '3:1: rules_file: /proc cannot be read: EISDIR'],
    [`${minimal}rules: [a]`, '3:1: rules: it must be text'],
    [`${minimal}rules: SET ENV "A" = "$HOME"`, '3:8: rules: the variable HOME is not set'],
    [`${minimal}links: [/data]`, "3:9: links.0: '/data' is not PATH=TARGET"],
    [`${minimal}links: [/data=]`, "3:9: links.0: '/data=' is not PATH=TARGET"],
    [`${minimal}links: [data=/x]`, '3:9: links.0.path: give an absolute path'],
    [`${minimal}links: [{path: /a}]`, '3:9: links.0.target: it is missing'],
    [`${minimal}capabilities: {add: ["rm -rf"]}`, '3:22: capabilities.add.0: name a capability'],
    [
      'name: web\nprocesses:\n  a:\n    comand: x',
      '4:5: processes.a.comand: unknown key; did you mean command?',
    ],
    ['name: web\nprocesses:\n  A_b: {command: x}', '3:3: processes.A_b: use 1 to 63 lower-case letters'],
    ['name: web\nprocesses: {a: {command: []}}', '2:17: processes.a.command: name a command'],
    ['name: web\nprocesses: {a: {command: x && y}}', "2:17: processes.a.command: there is no shell, so '&&'"],
    ['name: web\nprocesses: {a: {command: "it\'s"}}', "2:17: processes.a.command: the quote ' is not closed"],
    [
      'name: web\nprocesses: {a: {command: "x\\0"}}',
      '2:17: processes.a.command.0: a zero byte cannot be passed',
    ],
    [
      'name: web\nprocesses: {a: {command: $HOST}}',
      '2:26: processes.a.command: the variable HOST is not set',
    ],
    [
      'name: web\nprocesses: {a: {command: x, environment: [A=1, A=2]}}',
      'processes.a.environment.1: A is there twice',
    ],
    ['name: web\nprocesses: {a: {command: x, environment: [A]}}', 'environment.0: the variable A is not set'],
    ['name: [web', 'the file: '],
    ['name: !secret web', '1:7: the file: Unresolved tag: !secret'],
    ['name: *web', '1:7: name: nothing before it is marked &web'],
    ['? [a]\n: b', '1:3: the file: a key must be a word'],
    ['<<: 3\nname: web', '1:1: <<: only mappings can be merged'],
    ['"__proto__": 1', '1:1: __proto__: unknown key'],
  ])('%j says where and why', (text, expected) => {
    expect(failure(text)).toContain(expected);
    expect(failure(text)).toMatch(/^appshot\.yaml:\d+:\d+: /);
  });

  it('is never anything else, whatever the text', () => {
    const word = fc.constantFrom(
      ...[
        'name',
        'processes',
        'command',
        'environment',
        'volumes',
        'limits',
        'memory',
        '<<',
        '*a',
        '&a',
        '- ',
        ': ',
        ':',
        '\n',
      ],
      ...[
        '\n  ',
        '\n    ',
        '{',
        '}',
        '[',
        ']',
        ', ',
        '"',
        "'",
        '$',
        '${',
        '${A:-',
        '|',
        '>',
        '!',
        '#',
        '\t',
        '---',
        '\\',
        'web',
        '512m',
        '\0',
      ],
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
    );
    fc.assert(
      fc.property(text, (input) => {
        expect(outcome(input)).toMatch(/^taken$|^appshot\.yaml:\d+:\d+: /);
      }),
      { numRuns: 2000 },
    );
  }, 60_000);

  it('is never anything else, whatever the values', () => {
    const key = fc.oneof(
      fc.constantFrom(
        'name',
        'idle',
        'limits',
        'memory',
        'volumes',
        'processes',
        'web',
        'command',
        'environment',
        'source',
        'add',
        'publish',
        'ports',
        'port',
        'target',
        'sites',
        'host',
        'policy',
        'instances',
        'ignore',
      ),
      fc.string({ unit: 'grapheme' }),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        fc.string(),
        fc.integer(),
        fc.constant(null),
        fc.array(tie('tree')),
        fc.dictionary(key, tie('tree')),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(key, tree), (values) => {
        const text = JSON.stringify({ name: 'web', processes: { web: { command: 'x' } }, ...values });
        expect(outcome(text)).toMatch(/^taken$|^appshot\.yaml:\d+:\d+: /);
      }),
      { numRuns: 1000 },
    );
  }, 60_000);
});
