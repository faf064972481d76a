/** The language of rules: what is read, and where and why something is not. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACCESS_TYPES, RESOURCE_CLASSES, RESOURCE_TYPES } from '../../src/api/index.ts';
import { AppShotError, ERRORS } from '../../src/common/index.ts';
import { evaluate, parseRules } from '../../src/templates/rules/index.ts';
import type { Instance } from '../../src/templates/rules/index.ts';

const instance: Instance = {
  aid: '01JD',
  name: 'web-3',
  hostname: 'web-host',
  address: '10.10.0.7',
  instance: 3,
  node: 'lab',
  template: 'web',
  generation: 2,
};

const parse = (text: string) => parseRules(text, 'rules');

const failureOf = (text: string): AppShotError => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof AppShotError && error.code === 'BAD_RULES') return error;
    throw error;
  }
  throw new Error(`it was taken: ${text}`);
};

/** The value that the first SET ENV of a text has for the instance. */
const valueOf = (text: string, environment: Record<string, string> = {}): string => {
  const [variable] = parse(text).variables;
  if (variable === undefined) throw new Error('nothing is set');
  return evaluate(variable.value, instance, environment);
};

describe('parseRules', () => {
  it('takes the example of the document as it is printed', () => {
    const text =
      '\tDefine\t<APPL-ID> as PROPERTY application-ID\n' +
      '\tREDIR PATH\t“/user/app/config” to “/usr/app/<APPL-ID>/config”\n' +
      '\tSET ENV\t“HOME” = “/usr/app/<APPL-ID>”\n';
    const { redirects, variables } = parse(text);
    expect(redirects).toMatchObject([{ file: 'rules', line: 2, column: 14, from: '/user/app/config' }]);
    expect(redirects[0]?.text).toBe('REDIR PATH\t“/user/app/config” to “/usr/app/<APPL-ID>/config”');
    expect(redirects.map(({ to }) => evaluate(to, instance, {}))).toEqual(['/usr/app/01JD/config']);
    expect(variables).toMatchObject([{ name: 'HOME' }]);
    expect(valueOf(text)).toBe('/usr/app/01JD');
  });

  it('takes comments, empty lines, line ends of both kinds and keywords in any case', () => {
    const { links, classifications } = parse(
      '\uFEFF# a comment\r\n\r\n  link Path "/a" tO "/b" # "and\n\nclassify Unix-Socket as PLAIN',
    );
    expect(links).toMatchObject([{ line: 3, path: '/a', target: { parts: ['/b'] } }]);
    expect(classifications).toMatchObject([
      { line: 5, type: 'unix-socket', pattern: null, access: 'any', class: 'plain' },
    ]);
  });

  it.each([
    ['<AID>/<NAME>/<HOSTNAME>', '01JD/web-3/web-host'],
    ['<ADDRESS>/<INSTANCE>/<NODE>/<TEMPLATE>', '10.10.0.7/3/lab/web'],
    ['<ENV:USER>', 'ada'],
    [String.raw`\<AID>\\\"`, String.raw`<AID>\"`],
    ['', ''],
  ])('gives %j the value %j', (text, value) => {
    expect(valueOf(`SET ENV "A" = "${text}"`, { USER: 'ada' })).toBe(value);
  });

  it.each([
    ['application-ID', '01JD'],
    ['NAME', 'web-3'],
    ['host-name', 'web-host'],
    ['address', '10.10.0.7'],
    ['instance-number', '3'],
    ['node', 'lab'],
    ['template', 'web'],
  ])('defines variables as the property %s', (property, value) => {
    expect(valueOf(`DEFINE <X.1> AS PROPERTY ${property}\nSET ENV "A" = "<X.1>"`)).toBe(value);
  });

  it('defines variables as values of the environment', () => {
    const text = 'DEFINE <WHO> AS ENVIRONMENT "USER"\nSET ENV "A" = "<WHO>"';
    expect(valueOf(text, { USER: 'ada' })).toBe('ada');
    expect(() => valueOf(text)).toThrow('rules:2:16: the variable USER is not set in the environment');
    expect(() => valueOf('SET ENV "A" = "<ENV:toString>"')).toThrow('rules:1:16: the variable toString');
  });

  it('keeps patterns and accesses', () => {
    expect(parse('CLASSIFY FILE "/srv/x/**" FOR WRITE AS DUPLICATE').classifications).toMatchObject([
      { type: 'file', pattern: '/srv/x/**', access: 'write', class: 'duplicate' },
    ]);
  });

  it.each([
    [
      `RUN "sh -c 'cat < /x'" WITHIN 500ms`,
      { kind: 'command', command: ['sh', '-c', 'cat < /x'], withinMs: 500 },
    ],
    [String.raw`RUN "say \"a b\""`, { kind: 'command', command: ['say', 'a b'], withinMs: 10_000 }],
    ['RUN "say <NOTHING>"', { kind: 'command', command: ['say', '<NOTHING>'] }],
    ['SIGNAL SIGusr2', { kind: 'signal', signal: 'USR2', process: null, withinMs: 10_000 }],
    ['signal HUP to "web"', { kind: 'signal', signal: 'HUP', process: 'web', withinMs: 10_000 }],
    ['SIGNAL HUP TO "web" WITHIN 1m', { kind: 'signal', process: 'web', withinMs: 60_000 }],
    ['SIGNAL HUP WITHIN 2s', { kind: 'signal', process: null, withinMs: 2000 }],
    ['REQUEST "http://localhost:8080/a?b"', { kind: 'request', url: 'http://127.0.0.1:8080/a?b' }],
    ['REQUEST "http://:8080"', { kind: 'request', url: 'http://127.0.0.1:8080/' }],
    ['REQUEST "HTTP://127.0.0.1?x"', { kind: 'request', url: 'http://127.0.0.1/?x' }],
  ])('takes ON CLONE %s', (text, hook) => {
    expect(parse(`ON CLONE ${text}`).hooks).toMatchObject([hook]);
  });

  it('has bounds', () => {
    expect(parse('ON CLONE SIGNAL HUP\n'.repeat(4096)).hooks).toHaveLength(4096);
    expect(failureOf('ON CLONE SIGNAL HUP\n'.repeat(4097)).message).toContain(
      'rules:4097:1: there may be 4096',
    );
    expect(failureOf(`# ${'é'.repeat(1 << 19)}`).message).toContain(
      'rules:1:1: rules may have 1 MiB at most',
    );
    expect(failureOf(`LINK PATH "/a" TO "${'/a'.repeat(1 << 18)}"`).message).toContain('4095 characters');
    expect(valueOf(`SET ENV "A" = "${'<AID>'.repeat(100_000)}"`)).toHaveLength(400_000);
  });
});

describe('an error of rules', () => {
  it.each([
    ['DEFIN <X> AS PROPERTY name', "1:1: 'DEFIN' has no meaning here; did you mean DEFINE?"],
    ['\n  <X>', '2:4: <X> has no meaning here; one of DEFINE, REDIR, LINK, SET, CLASSIFY, ON must'],
    ['DEFINE X AS PROPERTY name', "1:8: 'X' has no meaning here; a variable such as <APPL-ID> must"],
    ['DEFINE <1> AS PROPERTY name', '1:9: name it with 1 to 64 letters'],
    ['DEFINE <X> IS PROPERTY name', "1:12: 'IS' has no meaning here; did you mean AS?"],
    ['DEFINE <X> AS PROPRETY name', "1:15: 'PROPRETY' has no meaning here; did you mean PROPERTY?"],
    ['DEFINE <X> AS PROPERTY hostname', "1:24: 'hostname' has no meaning here; did you mean host-name?"],
    ['DEFINE <X> AS ENVIRONMENT "A=B"', '1:28: a variable has a name, without ='],
    ['DEFINE <AID> AS PROPERTY name', '1:9: <AID> is predefined as the application-ID; choose another'],
    ['REDIR PATH /a TO "/b"', `1:12: '/a' stands without quotes; the path is written "..."`],
    ['REDIR PATH "/a" "/b"', '1:18: "/b" has no meaning here; TO must stand there'],
    ['REDIR PATH "/a" TO', '1:19: the line ends, but the target in quotes must follow'],
    ['REDIR PATH "/a TO', '1:12: the quote is not closed on its line'],
    ['REDIR PATH “/a TO', '1:12: the quote is not closed on its line'],
    ['REDIR PATH "/a" TO "/b" TO', "1:25: 'TO' has no meaning here; the rule ends before it"],
    ['REDIR PATH "a" TO "/b"', '1:13: give an absolute path'],
    ['REDIR PATH "/a/" TO "/b"', '1:13: write it as /a'],
    ['REDIR PATH "/proc/self" TO "/b"', "1:13: /proc is not the application's own"],
    ['REDIR PATH "/etc/hosts" TO "/b"', '1:13: /etc/hosts follows the identity'],
    ['REDIR PATH "/<AID>" TO "/b"', '1:14: the path is the same in each clone; variables stand behind TO'],
    ['LINK PATH "/a" TO "/<APPL-ID>"', '1:21: the variable <APPL-ID> is not defined above; DEFINE it, or'],
    ['LINK PATH "/a" TO "/<aid>"', '1:21: the variable <aid> is not defined above; did you mean <AID>?'],
    ['LINK PATH "/a" TO "/<AID"', String.raw`1:21: a variable is written <NAME>; write \< for the sign`],
    ['LINK PATH "/a" TO "/<ENV:>"', '1:21: the variable <ENV:> is not defined above'],
    ['LINK PATH "/a" TO "/b\0"', '1:22: a zero byte cannot be passed'],
    ['SET ENV "A" "b"', '1:14: "b" has no meaning here; = must stand there'],
    ['SET ENV "A" = b', `1:15: 'b' stands without quotes; the value is written "..."`],
    [String.raw`SET ENV "A" = "\n"`, String.raw`1:16: a lone backslash has no meaning: write \\ for one`],
    ['SET ENV "" = "x"', '1:10: a variable has a name'],
    ['SET ENV "HOSTNAME" = "x"', '1:10: HOSTNAME follows the identity'],
    ['SET ENV "APPSHOT_AID" = "x"', '1:10: APPSHOT_AID follows the identity'],
    ['SET VAR "A" = "x"', "1:5: 'VAR' has no meaning here; ENV must stand there"],
    ['CLASSIFY FIEL AS SHARED', "1:10: 'FIEL' has no meaning here; did you mean file?"],
    ['CLASSIFY FILE /srv/** AS SHARED', `1:15: '/srv/**' stands without quotes; a pattern is written`],
    ['CLASSIFY FILE "srv" AS SHARED', '1:16: a path begins with /'],
    ['CLASSIFY PIPE "" AS PLAIN', '1:16: an empty pattern fits nothing'],
    ['CLASSIFY FILE "/a/<AID>" AS SHARED', '1:19: names are those in the template'],
    ['CLASSIFY FILE FOR WRIET AS SHARED', "1:19: 'WRIET' has no meaning here; did you mean write?"],
    ['CLASSIFY FILE FOR WRITE SHARED', "1:25: 'SHARED' has no meaning here; AS must stand there"],
    ['CLASSIFY FILE AS COPY', "1:18: 'COPY' has no meaning here; one of shared, copy-on-write"],
    ['CLASSIFY ADDRESS AS SHARED', '1:21: ADDRESS can only be ALLOCATE, not SHARED: it is unique in'],
    ['CLASSIFY MEMORY AS SHARED', '1:20: MEMORY can only be COPY-ON-WRITE or DUPLICATE, not SHARED: '],
    ['ON CLONES RUN "x"', "1:4: 'CLONES' has no meaning here; did you mean CLONE?"],
    ['ON CLONE RUN "a && b"', "1:15: there is no shell, so '&&' has no meaning"],
    ['ON CLONE RUN "it\'s"', "1:15: the quote ' is not closed"],
    ['ON CLONE RUN " "', '1:15: name a command'],
    ['ON CLONE RUN "x <NAME>"', '1:17: variables are not filled in here; the program finds them in'],
    ['ON CLONE RUN "x" WITHIN 5', "1:25: '5' is not a duration"],
    ['ON CLONE RUN "x" WITHIN 0s', '1:25: give 1ms at least and 10m at most'],
    ['ON CLONE RUN "x" WITHIN 1h', '1:25: give 1ms at least and 10m at most'],
    ['ON CLONE SIGNAL UST2', "1:17: 'UST2' is not the name of a signal; did you mean USR2?"],
    ['ON CLONE SIGNAL KILL', '1:17: no program can handle KILL'],
    ['ON CLONE SIGNAL HUP TO "A b"', '1:25: use 1 to 63 lower-case letters'],
    ['ON CLONE REQUEST "https://localhost/"', '1:19: write http: the request stays inside the clone'],
    ['ON CLONE REQUEST "http://10.0.0.1/"', '1:19: the host must be 127.0.0.1 or localhost'],
    ['ON CLONE REQUEST "http://localhost:0/"', '1:19: a port is a number from 1 to 65535'],
    ['ON CLONE REQUEST "http://localhost:99999/"', '1:19: a port is a number'],
    ['ON CLONE REQUEST "http://u@localhost/"', '1:19: write it like http://127.0.0.1:8080/cloned'],
    ['ON CLONE REQUEST "localhost:80"', '1:19: write it like http://127.0.0.1:8080/cloned'],
    ['SET ENV "A" = "x" \u001B', String.raw`1:19: '\x1b' has no meaning here; the rule ends before it`],
  ])('%j says where and why', (text, expected) => {
    expect(failureOf(text).message).toContain(`rules:${expected}`);
  });

  it('names the column of a variable in a line with others', () => {
    const text = '# x\nREDIR PATH "/a" TO "/srv/<AID>/<NAEM>" # <NO>';
    expect(failureOf(text).details).toMatchObject({ file: 'rules', line: 2, column: 32 });
    expect(text.split('\n')[1]?.slice(31)).toMatch(/^<NAEM>/);
  });
});

describe('any text', () => {
  const word = fc.constantFrom(
    ...[
      'DEFINE',
      'REDIR PATH',
      'LINK',
      'PATH',
      'SET ENV',
      'CLASSIFY',
      'ON CLONE',
      'AS',
      'TO',
      'FOR',
      'WITHIN',
    ],
    ...[
      'RUN',
      'SIGNAL',
      'REQUEST',
      'HUP',
      'PROPERTY',
      'name',
      'ENVIRONMENT',
      'FILE',
      'WRITE',
      'SHARED',
      '5s',
    ],
    ...['<AID>', '<X>', '<ENV:A>', '"/a"', '"/b/<AID>"', '“/c”', '"A"', '"http://localhost/"', '=', '#'],
    ...['"', '“', '\\', '<', '>', '\n', '\r\n', '\t', '\0', '/', '..'],
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word, { maxLength: 40 }).map((words) => words.join(' ')),
    fc.array(word, { maxLength: 40 }).map((words) => words.join('')),
  );

  /** Whether a text is taken; else whether the place that the refusal names is in it, or what was thrown instead. */
  const outcome = (input: string): unknown => {
    try {
      parse(input);
      return 'taken';
    } catch (error) {
      if (!(error instanceof AppShotError) || error.code !== 'BAD_RULES') return error;
      const { line, column } = error.details as Record<'line' | 'column', number>;
      const written = input.split(/\r?\n/)[line - 1];
      const isWithin = written !== undefined && column >= 1 && column <= written.length + 1;
      return isWithin ? 'refused' : `refused at ${line}:${column}`;
    }
  };

  it('is taken, or refused at a place within it', () => {
    fc.assert(
      fc.property(text, (input) => {
        expect(outcome(input)).toMatch(/^(taken|refused)$/);
      }),
      { numRuns: 3000 },
    );
  });

  it('is a value when it is escaped, and comes back from evaluation', () => {
    const line = fc.string({ unit: 'binary' }).filter((value) => !/[\n\0]/.test(value));
    fc.assert(
      fc.property(line, (value) => {
        const escaped = value.replaceAll(/["\\<]/g, String.raw`\$&`);
        expect(valueOf(`SET ENV "A" = "${escaped}" # end`)).toBe(value);
      }),
    );
  });
});

describe('docs/rules.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/rules.md'), 'utf8');
  const examples = [...page.matchAll(/```rules\n([^]*?)```/g)].map(([, example = '']) => example);

  it('has examples that are taken', () => {
    expect(examples.length).toBeGreaterThan(3);
    for (const example of examples) expect(() => parse(example)).not.toThrow();
  });

  it('has an example of each class, access and rule', () => {
    const sets = examples.map(parse);
    const all = sets.flatMap(({ classifications }) => classifications);
    expect(new Set(all.map((rule) => rule.class))).toEqual(new Set(RESOURCE_CLASSES));
    expect(new Set(all.map(({ access }) => access))).toEqual(new Set(ACCESS_TYPES));
    for (const kind of ['definitions', 'redirects', 'links', 'variables', 'hooks'] as const)
      expect(sets.flatMap((set): readonly unknown[] => set[kind])).not.toEqual([]);
  });

  it('tells what each type can be, as the reader has it', () => {
    for (const type of RESOURCE_TYPES) {
      const [row = ''] = page.match(new RegExp(`^\\| \`${type.toUpperCase()}\`.*$`, 'm')) ?? [];
      const possible = RESOURCE_CLASSES.filter((name) => {
        try {
          return parse(`CLASSIFY ${type} AS ${name}`).classifications.length === 1;
        } catch {
          return false;
        }
      });
      const told = RESOURCE_CLASSES.filter((name) => row.includes(`\`${name.toUpperCase()}\``));
      expect([type, told]).toEqual([type, possible]);
    }
  });

  it('shows an error as it is', () => {
    const [, shown] = /^appshot: (shop\.rules:.*); see docs\/rules\.md \[BAD_RULES\]$/m.exec(page) ?? [];
    const text = 'DEFINE <APPL-ID> AS PROPERTY application-ID\n\nREDIR PATH "/srv/etc" TO "/srv/x/<APLP-ID>"';
    expect(shown).toBeDefined();
    expect(() => parseRules(text, 'shop.rules')).toThrow(shown);
    expect(ERRORS.BAD_RULES.hint).toBe('see docs/rules.md');
  });
});
