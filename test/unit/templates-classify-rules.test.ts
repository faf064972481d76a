/** Figure 8: which classes a resource has, by rules and by the standard criteria. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RESOURCE_CLASSES } from '../../src/api/index.ts';
import { classifyResources } from '../../src/templates/classify/classify.ts';
import { standardClasses } from '../../src/templates/classify/criteria.ts';
import type { ClassifyInput } from '../../src/templates/classify/found.ts';
import { inputOf, object, rule } from './templates-input.ts';

const NONE = {
  shared: false,
  modifiable: false,
  large: false,
  systemUnique: false,
  exported: false,
  networkUnique: false,
};

describe('the standard criteria', () => {
  it.each([
    [{}, ['plain']],
    [{ shared: true }, ['shared']],
    [{ modifiable: true }, ['duplicate']],
    [{ modifiable: true, large: true }, ['copy-on-write']],
    [{ systemUnique: true }, ['virtualize']],
    [{ systemUnique: true, exported: true }, ['multiplex']],
    [{ networkUnique: true }, ['allocate']],
    [{ large: true, exported: true }, ['plain']],
    [
      {
        shared: true,
        modifiable: true,
        large: true,
        systemUnique: true,
        exported: true,
        networkUnique: true,
      },
      ['shared', 'copy-on-write', 'multiplex', 'allocate'],
    ],
  ])('mark %j as %j', (traits, classes) => {
    expect(standardClasses({ ...NONE, ...traits })).toEqual(classes);
  });

  it('mark in the order of the figure, never twice, and plain alone', () => {
    const traits = fc.record(Object.fromEntries(Object.keys(NONE).map((name) => [name, fc.boolean()])));
    fc.assert(
      fc.property(traits, (some) => {
        const classes = standardClasses({ ...NONE, ...some });
        const ranks = classes.map((one) => RESOURCE_CLASSES.indexOf(one));
        expect(ranks).toEqual([...new Set(ranks)].toSorted((a, b) => a - b));
        expect(classes.includes('plain')).toBe(classes.length === 1 && classes[0] === 'plain');
      }),
    );
  });
});

describe('rules', () => {
  it('are kept with what they are about, unevaluated', () => {
    const rules = {
      variables: [{ ...rule, name: 'HOME', text: 'SET ENV "HOME" = "/home/<AID>"' }],
      redirects: [{ ...rule, from: '/user/app/config', line: 4 }],
      links: [{ ...rule, path: '/data', line: 5 }],
    };
    const table = classifyResources(inputOf({}, { rules }));
    expect(table.find(({ name }) => name === 'HOME')).toMatchObject({
      classes: ['duplicate'],
      rule: { text: 'SET ENV "HOME" = "/home/<AID>"', file: 'web.rules', line: 3 },
    });
    expect(table.filter(({ type }) => type === 'link')).toMatchObject([
      { name: '/data', classes: ['virtualize'], rule: { line: 5 } },
      { name: '/user/app/config', classes: ['virtualize'], rule: { line: 4 } },
    ]);
  });

  it('are noted with files that were opened where they lead', () => {
    const rules = {
      redirects: [{ ...rule, from: '/user/config', line: 4 }],
      links: [{ ...rule, path: '/data', line: 5 }],
    };
    const places = { redirects: [], links: [{ path: '/data', target: '/srv/A1' }] };
    const names = ['/user/config/a', '/srv/A1/b', '/srv/A10/c'];
    const objects = names.map((name) => object('file', { name, writes: true }));
    const table = classifyResources(inputOf({ objects }, { rules, places })).filter(
      ({ type }) => type === 'file',
    );
    expect(table.map(({ name, classes, rule: found }) => [name, classes.join(), found?.line])).toEqual([
      ['/srv/A1/b', 'copy-on-write,virtualize', 5],
      ['/srv/A10/c', 'copy-on-write', undefined],
      ['/user/config/a', 'copy-on-write,virtualize', 4],
    ]);
  });

  const about = (classification: object): ClassifyInput['rules']['classifications'][number] => ({
    ...rule,
    type: 'file',
    pattern: null,
    access: 'any',
    class: 'duplicate',
    ...classification,
  });

  it.each([
    [{ pattern: '/srv/**' }, ['/srv/a', '/srv/b']],
    [{ access: 'write' }, ['/srv/a']],
    [{ access: 'read' }, ['/srv/b', '/tmp/gone']],
    [{ access: 'destroy' }, ['/tmp/gone']],
    [{ access: 'create' }, []],
    [{ type: 'directory' }, ['/']],
    [{ pattern: '/srv/**', access: 'write' }, ['/srv/a']],
  ])('of CLASSIFY that say %j are about %j', (classification, names) => {
    const objects = [
      object('file', { name: '/srv/a', reads: false, writes: true }),
      object('file', { name: '/srv/b' }),
      object('file', { name: '/tmp/gone', deleted: true }),
    ];
    const rules = { classifications: [about(classification)] };
    const ruled = classifyResources(inputOf({ objects }, { rules })).filter((one) => one.rule !== null);
    expect(ruled.map(({ name }) => name)).toEqual(names);
    for (const one of ruled) expect(one).toMatchObject({ classes: ['duplicate'], rule });
  });

  it('of CLASSIFY count in their order', () => {
    const objects = [object('file', { name: '/srv/a', writes: true })];
    const classifications = [
      about({ line: 1 }),
      about({ line: 2, class: 'plain', pattern: '/srv/*' }),
      about({ line: 3, pattern: '/other' }),
    ];
    const table = classifyResources(inputOf({ objects }, { rules: { classifications } }));
    expect(table.find(({ name }) => name === '/srv/a')).toMatchObject({
      classes: ['plain'],
      rule: { line: 2 },
    });
  });
});
