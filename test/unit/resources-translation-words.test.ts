/** Translations as people read them, and typed IDs as they write them. */
import { describe, expect, it } from 'vitest';
import { TRANSLATION_TYPES, TypedId } from '../../src/api/index.ts';
import type { MapView, Translation } from '../../src/api/index.ts';
import { formatFound, formatMap } from '../../src/cli/verbs/map.ts';

const translation: Translation = {
  ...{ type: 'pid', virtual: '17', also: [], system: '4711', node: 'here' },
  ...{ objects: [], since: 'allocation', note: 'node' },
};

const view: MapView = {
  ...{ aid: 'A1', name: 'web', state: 'running', snapshot: null },
  translations: [translation],
};

describe('appshot map', () => {
  it('leaves out columns in which there is nothing', () => {
    expect(formatMap(view).split('\n')).toEqual([
      'web (A1), running on here',
      '',
      'TYPE  VIRTUAL  SYSTEM  SINCE       NOTE',
      'pid   17       4711    allocation  node',
    ]);
  });

  it('says of what sleeps what it is told by, and what is nowhere', () => {
    const translations = [{ ...translation, system: null }];
    const text = formatMap({ ...view, state: 'asleep', snapshot: '01JD4YJ6', translations });
    expect(text).toContain('web (A1), asleep on here; as in its snapshot 01JD4YJ6\n');
    expect(text).toContain('pid   17       -       allocation');
  });

  it('shows names of programs without control characters', () => {
    expect(formatMap({ ...view, translations: [{ ...translation, note: '\u001b[2J' }] })).not.toContain(
      '\u001b',
    );
  });

  it('names whose it is, from the machine’s side', () => {
    expect(
      formatFound([{ ...translation, aid: 'A1', name: 'web', objects: ['pipe:[7]', 'x'] }]).split('\n'),
    ).toEqual([
      'NAME  AID  TYPE  VIRTUAL  SYSTEM  SHARED      SINCE       NOTE',
      'web   A1   pid   17       4711    pipe:[7] x  allocation  node',
    ]);
  });
});

describe('a typed ID', () => {
  it.each(TRANSLATION_TYPES)('is read as %s and the rest', (type) => {
    expect(TypedId.parse(`${type}:tcp:[::]:80`)).toEqual({ type, id: 'tcp:[::]:80' });
  });

  it.each(['pid', 'pid:', ':7', 'no:7', '7', 'toString:7'])('is not %s', (text) => {
    expect(TypedId.safeParse(text).success).toBe(false);
  });
});
