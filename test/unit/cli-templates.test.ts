/** Templates as people read them. */
import { describe, expect, it } from 'vitest';
import type { TemplateDetail, TemplateResource, TemplateView } from '../../src/api/index.ts';
import { formatTemplate, formatTemplates } from '../../src/cli/verbs/template-table.ts';

const view: TemplateView = {
  id: '01JD4YJ6',
  name: 'warm',
  createdAt: '2026-01-01T00:00:00.000Z',
  from: { aid: 'A1', name: 'web', template: null },
  memory: { layered: 400 << 20, copied: 64 << 10 },
  clones: 12,
};
const now = Date.parse('2026-01-01T00:05:00.000Z');

const resource = (more: Partial<TemplateResource>): TemplateResource => ({
  nameSize: 6,
  descriptorSize: 2,
  type: 'file',
  name: '/srv/a',
  data: {},
  classes: ['plain'],
  action: 'read where it is',
  rule: null,
  ...more,
});

const tableOf = (resources: readonly TemplateResource[], rules: TemplateDetail['rules'] = []): string[] =>
  formatTemplate({ ...view, snapshot: '01JD4YK9', format: 1, rules, resources: [...resources] }, now).split(
    '\n',
  );

describe('appshot template ls', () => {
  it('has a row for each', () => {
    expect(formatTemplates([view], now)).toBe(
      [
        'NAME  FROM  CREATED  SHARED   COPIED  CLONES  ID',
        'warm  web   5m       400 MiB  64 KiB  12      01JD4YJ6',
      ].join('\n'),
    );
  });
});

describe('appshot template inspect', () => {
  it('begins with what the template is', () => {
    expect(tableOf([]).slice(0, 8)).toEqual([
      'name:      warm',
      'id:        01JD4YJ6',
      'created:   2026-01-01T00:00:00.000Z, 5m ago',
      'from:      web (A1)',
      'snapshot:  01JD4YK9',
      'memory:    400 MiB shared by all clones, 64 KiB copied for each',
      'clones:    12',
      'resources: 0, each of them with --json',
    ]);
  });

  it('tells the class of alike resources once', () => {
    const shared = {
      classes: ['shared', 'copy-on-write'],
      action: "copied into the clone's own layer",
    } as const;
    const lines = tableOf([
      resource({ ...shared, classes: [...shared.classes] }),
      resource({ ...shared, classes: [...shared.classes], name: '/srv/b' }),
      resource({ type: 'log', name: '/log', classes: ['virtualize'], action: 'begins empty' }),
    ]);
    expect(lines.slice(9)).toEqual([
      'TYPE  NAME    CLASS          ACTION',
      "file  /srv/a  shared,        copied into the clone's own",
      '      /srv/b  copy-on-write  layer',
      'log   /log    virtualize     begins empty',
    ]);
  });

  it.each([
    [4, ['/1', '/2', '/3', '/4']],
    [5, ['/1', '/2', '/3', 'and 2 more']],
  ])('of %i alike resources shows %j', (count, names) => {
    const lines = tableOf(Array.from({ length: count }, (_, index) => resource({ name: `/${index + 1}` })));
    expect(lines.slice(10).map((line) => line.slice(6).split('  ')[0])).toEqual(names);
  });

  it('has rules where they decided, and all of them as they were given', () => {
    const rule = { text: 'CLASSIFY FILE AS PLAIN', file: '/etc/web/web.rules', line: 2 };
    const text = '# mine\nCLASSIFY FILE AS PLAIN\n';
    const lines = tableOf([resource({ rule }), resource({ name: '/b' })], [{ file: rule.file, text }]);
    expect(lines.slice(9)).toEqual([
      'TYPE  NAME    CLASS  ACTION            RULE',
      'file  /srv/a  plain  read where it is  web.rules:2',
      'file  /b      plain  read where it is',
      '',
      '/etc/web/web.rules:',
      '   1  # mine',
      '   2  CLASSIFY FILE AS PLAIN',
    ]);
  });

  it('fits into 100 columns, whatever things are called', () => {
    const long = resource({
      type: 'shared-memory',
      name: `/dev/shm/${'x'.repeat(300)}/the-end`,
      classes: ['shared', 'copy-on-write', 'virtualize'],
      action: 'copied; the same key and ID in a namespace that is the clone’s own',
      rule: { text: '', file: `${'y'.repeat(300)}.rules`, line: 100 },
    });
    for (const lines of [tableOf([long]), tableOf([{ ...long, rule: null }])]) {
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(100);
      expect(lines.join('\n')).toContain('xxx/the-end');
    }
  });

  it('is safe for a terminal', () => {
    const lines = tableOf(
      [resource({ name: '/\u001b[2J\u202e' })],
      [{ file: 'a\u001b', text: 'b\u001b[2J' }],
    );
    expect(lines.filter((line) => line.includes('\u001b') || line.includes('\u202e'))).toEqual([]);
    expect(lines[10]).toContain(String.raw`/\x1b[2J\u202e`);
  });
});
