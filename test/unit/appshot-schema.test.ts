/** docs/appshot.schema.json against the parser: an editor must not underline what `appshot run --file` takes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { parseConfig } from '../../src/api/config.ts';
import { readConfigSchema } from '../../src/api/index.ts';
import { AppShotError } from '../../src/common/index.ts';
import { isValid } from '../support/json-schema.ts';

type Json = Record<string, unknown>;

const docs = join(import.meta.dirname, '../../docs');
const schema = JSON.parse(readFileSync(join(docs, 'appshot.schema.json'), 'utf8')) as Json;

const directory = import.meta.dirname;
const environment = { A: 'x', PORT: '8080', TIME: '30s', NAME: 'blue', ROOT: '/r', EMPTY: '' };

const isTaken = (text: string): boolean => {
  try {
    parseConfig(text, { file: 'appshot.yaml', directory, environment });
    return true;
  } catch (error) {
    if (error instanceof AppShotError && error.code === 'BAD_CONFIG') return false;
    throw error;
  }
};

/** As an editor does it: with YAML's own types, and variables as they are written. */
const isShownValid = (text: string): boolean =>
  isValid(schema, parseYaml(text, { schema: 'core', merge: true, logLevel: 'silent' }));

const minimal = 'name: web\nprocesses: {web: {command: node}}\n';

/** The descriptions of all keys below a schema, by path. */
const helpOf = (node: unknown, path = ''): [path: string, help: unknown][] => {
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([word, value]: [string, unknown]) => {
    if (word === 'oneOf') return [];
    if (word !== 'properties') return helpOf(value, path);
    return Object.entries(value as Record<string, Json>).flatMap(([key, field]): [string, unknown][] => [
      [`${path}/${key}`, field['description']],
      ...helpOf(field, `${path}/${key}`),
    ]);
  });
};

describe('docs/appshot.schema.json', () => {
  it('is what scripts/make-schema.ts makes', async () => {
    expect(schema).toEqual(await readConfigSchema());
  });

  it('says of every key what it is for', () => {
    const help = helpOf(schema);
    expect(help.length).toBeGreaterThan(50);
    expect(help.filter(([, text]) => typeof text !== 'string')).toEqual([]);
  });
});

const TAKEN = [
  '',
  'hostname: true',
  'aid: 17',
  'aid: 1e3',
  'address: 10.10.0.5',
  'address: ${ADDRESS:-10.10.0.5}',
  'network: blue',
  'networks: [$NAME]',
  'network: "null"',
  'service: shop',
  'publish: []',
  'publish: [8000:80, "127.0.0.1:8000:80/udp", $PORT:80, "1${PORT}:80/tcp"]',
  'publish: [8000-8003:80-83]',
  'publish: [{port: 8080, target: 80}, {port: "8081", target: "80", protocol: udp, address: 127.0.0.1}]',
  'publish: [{port: 8000-8003, target: $PORT-8083, protocol: "${P:-udp}"}]',
  'ports: [8080:80, {target: 80, published: 8081, host_ip: 127.0.0.1, protocol: tcp}]',
  'ports: [{target: 80, published: "8081"}]\npublish: [8082:80]',
  'sites: [shop.example:8080, "*.shop.example:80", {host: a.example, port: 80}, {host: b.example, port: "81"}]',
  'sites: [shop.example/api:8080, {host: a.example, port: 80, path: /a/b.c}]',
  'sites: [shop.example]\npublish: [8080:80]',
  'policy: {}',
  'policy: {priority: 80}',
  'policy: {priority: "80", idle: {freeze: 30s, sleep: 5m}}',
  'policy:\n  priority: ${N:-7}',
  'policy: {idle: {freeze: $TIME}}\nidle: 1.5h',
  'policy: {instances: {max: 5}}',
  'policy: {instances: {min: 0, max: 5, template: web-base}, ignore: [10.0.0.0/8, 10.1.2.3]}',
  'idle: 500ms',
  'memory: lazy',
  'memory: ${MODE:-lazy}',
  'limits: {}',
  'limits: {memory: 512m, pids: 200, cpus: 1.5}',
  'limits: {memory: 1.5 GiB, pids: "200", cpus: "2"}',
  'limits: {memory: 8388608, pids: 1.0, cpus: 007}',
  'volumes: [./a:/a, /b:/b:ro, {source: ~/c, target: /c, readOnly: true}]',
  'volumes: ["${V:-/v}:/x", {source: $ROOT/d, target: /d, read_only: "false"}]',
  'capabilities: {add: [net_admin, CAP_CHOWN], drop: []}',
  'rules: |\n  SET ENV "A" = "$$B"\n',
  'rules: 7',
  `rules_file: appshot-schema.test.ts`,
  'links: [/a=/b/<AID>, {path: /c, target: 7}]',
  'x-anything: [1, {a: null}]\nx-b:',
];

/** What every key but `processes` takes, in a line; the other half of the file. */
const PROCESSES = [
  'processes: {web: {command: node server.js}}',
  'processes: {web: {command: [redis-server, --port, 6379, 1.10, no, true, 0x1f, ""]}}',
  'services: {web: {command: 7}, true: {command: $A}}',
  'processes: {web: {command: x, environment: {A: 1, B: true, C: "", D: 1.10}}}',
  'processes: {web: {command: x, environment: {A: , NAME: null, PORT: ~}}}',
  'processes: {web: {command: x, environment: [A, B=1, "C=x=y"]}}',
  'processes: {web: {command: x, environment: {}, user: 1000, working_dir: ./app}}',
  'processes: {web: {command: x, environment: [], user: "1000:1000", working_dir: "~"}}',
  'x-base: &base {user: nobody}\nservices: {web: {<<: *base, command: x}, b: {<<: [*base], command: y}}',
];

const REFUSED = [
  'nmae: web',
  'limits:',
  'limits: [a]',
  'limits: {memroy: 1g}',
  'limits: {memory: [1g]}',
  'limits: {pids: many}',
  'limits: {pids: {}}',
  'limits: {cpus: 0}',
  'idle: 30',
  'idle: soon',
  'idle: ~',
  'memory: fast',
  'memory: 512m',
  'aid: [a]',
  'aid: {}',
  'hostname: A_b',
  'address: here',
  'address: 10.10',
  'network: null',
  'network: Blue',
  'network: [blue]',
  'networks: blue',
  'networks: []',
  'networks: [a, b]',
  'networks: {blue: {}}',
  'service: 7',
  'publish: 8080:80',
  'publish: [8080]',
  'publish: [null]',
  'publish: [8080:80:90:100/x/y]',
  'publish: [{port: 8080}]',
  'publish: [{port: 8080, target: 80, mode: host}]',
  'publish: [{port: [8080], target: 80}]',
  'publish: [{port: 70000, target: 80}]',
  'publish: [{port: 8080, target: 0}]',
  'publish: [{port: 8080, target: 80, protocol: sctp}]',
  'publish: [{port: 8080, target: 80, address: ::1}]',
  'publish: [{published: 8080, target: 80}]',
  'ports: [80]',
  'ports: [{port: 8080, target: 80}]',
  'ports: [{target: 80}]',
  'sites: shop.example:80',
  'sites: [[a]]',
  'sites: [http://shop.example:80]',
  'sites: [{port: 80}]',
  'sites: [{host: a, port: 0}]',
  'sites: [{host: a, port: 80, path: api}]',
  'policy:',
  'policy: 50',
  'policy: {prio: 5}',
  'policy: {priority: 101}',
  'policy: {priority: high}',
  'policy: {idle: 30s}',
  'policy: {idle: {freeze: 30}}',
  'policy: {idle: {freze: 30s}}',
  'policy: {instances: 5}',
  'policy: {instances: {}}',
  'policy: {instances: {min: 1}}',
  'policy: {instances: {max: 0}}',
  'policy: {instances: {max: 5, maximum: 6}}',
  'policy: {instances: {max: 5, template: [a]}}',
  'policy: {ignore: 10.0.0.0/8}',
  'policy: {ignore: [everybody]}',
  'volumes: ./a:/a',
  'volumes: [data:/a:rx]',
  'volumes: [/a]',
  'volumes: [{source: /a}]',
  'volumes: [{source: data, target: /a}]',
  'volumes: [{source: /a, target: b}]',
  'volumes: [{source: /a, target: /b, readOnly: maybe}]',
  'capabilities: [NET_ADMIN]',
  'capabilities: {add: NET_ADMIN}',
  'capabilities: {add: [rm -rf]}',
  'rules: [a]',
  'rules_file:',
  'links: /a=/b',
  'links: [/data]',
  'links: [{path: /a}]',
  'links: [{path: a, target: /b}]',
  'services: {b: {command: x}}',
  'image: nginx',
  'deploy: {replicas: 3}',
];

const REFUSED_WHOLE = [
  '[]',
  'web',
  'name: web',
  'processes: {a: {command: x}}',
  'name:\nprocesses: {a: {command: x}}',
  'name: Web\nprocesses: {a: {command: x}}',
  'name: web\nprocesses: {}',
  'name: web\nprocesses: [x]',
  'name: web\nprocesses: {a: x}',
  'name: web\nprocesses: {a: }',
  'name: web\nprocesses: {a: {}}',
  'name: web\nprocesses: {A_b: {command: x}}',
  'name: web\nprocesses: {$A: {command: x}}',
  'name: web\nprocesses: {a: {command: }}',
  'name: web\nprocesses: {a: {command: []}}',
  'name: web\nprocesses: {a: {command: {x: y}}}',
  'name: web\nprocesses: {a: {command: [[x]]}}',
  'name: web\nprocesses: {a: {comand: x}}',
  'name: web\nprocesses: {a: {command: x, ports: [80:80]}}',
  'name: web\nprocesses: {a: {command: x, environment: A=1}}',
  'name: web\nprocesses: {a: {command: x, environment: [[A]]}}',
  'name: web\nprocesses: {a: {command: x, environment: [{A: 1}]}}',
  'name: web\nprocesses: {a: {command: x, environment: {A: [1]}}}',
  'name: web\nprocesses: {a: {command: x, user: [a]}}',
  'name: web\nprocesses: {a: {command: x, working_dir: }}',
];

/** What YAML takes for something other than text, or AppShot for something other than it says. */
const WORDS = [
  ...['', '~', 'null', 'Null', '"null"', '""', "''", 'true', 'True', 'FALSE', 'yes', 'no', 'on'],
  ...['0', '1', '-1', '+1', '007', '0o7', '0x1f', '1.0', '1.5', '.5', '5.', '1e3', '.inf', '.nan', '1_000'],
  ...['99999999', '4194304', '123456789012345678', '2026-01-01', '12:30:45', '8080:80', '80-81', '"80"'],
  ...[
    '10.0.0.1',
    '10.0.0.1/8',
    '30s',
    '512m',
    '1 KiB',
    'a',
    'A',
    'a.b',
    '/a',
    './a',
    '/a:/b',
    '/a=/b',
    'tcp',
  ],
  ...[
    '$A',
    '${A}',
    '${NO:-1}',
    '"${EMPTY}"',
    '$$',
    '[]',
    '{}',
    '[a]',
    '{a: b}',
    '"a\\nb"',
    '*a',
    '&a 1',
    '!!str 1',
  ],
];
const PLACES = [
  'name: ?\nprocesses: {web: {command: node}}',
  ...['aid', 'hostname', 'address', 'network', 'service', 'idle', 'memory', 'rules', 'rules_file', 'x-a'],
  ...['networks: [?]', 'publish: [?]', 'publish: [{port: ?, target: ?}]', 'ports: [?]'],
  ...['publish: [{port: 1, target: 1, protocol: ?}]', 'ports: [{published: 1, target: 1, host_ip: ?}]'],
  ...['sites: [?]', 'sites: [{host: ?, port: 1}]', 'sites: [{host: a, port: ?}]'],
  ...['policy', 'policy: {priority: ?}', 'policy: {idle: {freeze: ?}}', 'policy: {ignore: [?]}'],
  ...['policy: {instances: {max: ?}}', 'policy: {instances: {max: 5, template: ?}}'],
  ...['limits: {memory: ?}', 'limits: {pids: ?}', 'limits: {cpus: ?}', 'capabilities: {add: [?]}'],
  ...['volumes: [?]', 'volumes: [{source: ?, target: /a}]', 'volumes: [{source: /a, target: ?}]'],
  ...['volumes: [{source: /a, target: /a, read_only: ?}]', 'links: [?]', 'links: [{path: /a, target: ?}]'],
]
  .map((line) => (line.includes('?') ? line : `${line}: ?`))
  .map((line) => (line.startsWith('name') ? line : `${minimal}${line}`))
  .concat(
    ['command: ?', 'command: [x, ?]', 'command: x, user: ?', 'command: x, working_dir: ?']
      .concat([
        'command: x, environment: {A: ?}',
        'command: x, environment: [?]',
        'command: x, environment: ?',
      ])
      .map((inner) => `name: web\nprocesses: {web: {${inner}}}`),
  );

describe('docs/appshot-yaml.md', () => {
  const page = readFileSync(join(docs, 'appshot-yaml.md'), 'utf8');
  const examples = Array.from(page.matchAll(/```yaml\n([^]*?)```/g), ([, example = '']) => example);

  it.each(examples)('has an example that both take', (example) => {
    const text = example.includes('name:') ? example : `${minimal}${example}`;
    expect([isTaken(text), isShownValid(text)]).toEqual([true, true]);
  });
});

describe('the schema and the parser', () => {
  it.each(TAKEN)('both take %j', (more) => {
    expect([isTaken(`${minimal}${more}`), isShownValid(`${minimal}${more}`)]).toEqual([true, true]);
  });

  it.each(PROCESSES)('both take %j', (more) => {
    expect([isTaken(`name: web\n${more}`), isShownValid(`name: web\n${more}`)]).toEqual([true, true]);
  });

  it.each([...REFUSED.map((more) => `${minimal}${more}`), ...REFUSED_WHOLE])('both refuse %j', (text) => {
    expect([isTaken(text), isShownValid(text)]).toEqual([false, false]);
  });

  it('take the same mixtures', () => {
    let taken = 0;
    const text = fc.tuple(fc.shuffledSubarray(TAKEN, { maxLength: 12 }), fc.constantFrom(...PROCESSES));
    fc.assert(
      fc.property(text, ([lines, processes]) => {
        const byKey = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line]));
        const input = ['name: web', ...byKey.values(), processes].join('\n');
        if (!isTaken(input)) return;
        taken++;
        expect(isShownValid(input)).toBe(true);
      }),
      { numRuns: 200 },
    );
    expect(taken).toBeGreaterThan(20);
  });

  it.each(WORDS)('have the same opinion of %s, wherever it stands', (word) => {
    const texts = PLACES.map((place) => place.replaceAll('?', () => word));
    expect(texts.filter((text) => isTaken(text) && !isShownValid(text))).toEqual([]);
  });
});
