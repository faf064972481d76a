/** Changes to decoded images. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ImageError,
  closeConnections,
  leavePipeSizes,
  decodeImage,
  dropFilter,
  encodeImage,
  forgetSizes,
  moveAddress,
} from '../../src/criu/index.ts';
import type { Fields, Image, Schema } from '../../src/criu/index.ts';
import { builtSchema, schemas } from './criu-schema.ts';

const COMMON = 0x54564319;
const SECCOMP = [COMMON, 0x64413049];
const CORE = [COMMON, 0x55053847];
const MODE_FILTER = 2;

/** As it is after a dump: written and read. */
const saved = (schema: Schema, name: string, magics: number[], message: Fields): Image =>
  decodeImage(schema, name, encodeImage(schema, { name, magics, entries: [{ message }] }));

const coreOf = (schema: Schema, tid: number, filter: number | undefined): Image =>
  saved(schema, `core-${tid}.img`, CORE, {
    mtype: 1,
    threadCore: {
      futexRla: 0n,
      futexRlaLen: 0,
      ...(filter === undefined ? {} : { seccompMode: MODE_FILTER, seccompFilter: filter }),
    },
  });

interface Dump {
  readonly seccomp: Image;
  readonly cores: readonly Image[];
}

/** The images of threads with these filters, oldest first, as CRIU writes them: a thread's newest filter comes first. */
const dumpOf = (schema: Schema, threads: readonly (readonly string[])[]): Dump => {
  const seccompFilters: Fields[] = [];
  const cores = threads.map((chain, tid) => {
    chain.toReversed().forEach((filter, index) => {
      const link = index === 0 ? {} : { prev: seccompFilters.length - 1 };
      seccompFilters.push({ filter: Buffer.from(filter), flags: 1, ...link });
    });
    return coreOf(schema, tid, chain.length > 0 ? seccompFilters.length - 1 : undefined);
  });
  return { seccomp: saved(schema, 'seccomp.img', SECCOMP, { seccompFilters }), cores };
};

const filtersIn = ({ seccomp }: Dump): Fields[] => seccomp.entries[0]?.message['seccompFilters'] as Fields[];

/** What CRIU would install in a thread, in this order. */
const chainOf = (dump: Dump, core: Image): string[] => {
  const thread = core.entries[0]?.message['threadCore'] as Fields;
  const filters = filtersIn(dump);
  const chain: string[] = [];
  if (thread['seccompMode'] !== MODE_FILTER) return chain;
  for (let at = thread['seccompFilter'] as number; ;) {
    const filter = filters[at];
    if (!filter) throw new Error(`no filter ${at}`);
    chain.push(Buffer.from(filter['filter'] as Uint8Array).toString());
    if (!Object.hasOwn(filter, 'prev')) return chain;
    at = filter['prev'] as number;
  }
};

const written = (schema: Schema, { seccomp, cores }: Dump): Dump => {
  const again = (image: Image): Image => decodeImage(schema, image.name, encodeImage(schema, image));
  return { seccomp: again(seccomp), cores: cores.map(again) };
};

describe.each(schemas)('a filter, by %s,', (_, schema) => {
  it('goes from every thread, wherever it is in its chain, and nothing else goes', () => {
    const chains = fc.array(fc.array(fc.constantFrom('guard', 'a', 'b', 'c'), { maxLength: 5 }), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(chains, (threads) => {
        const dump = dumpOf(schema, threads);
        const guards = threads.flat().filter((filter) => filter === 'guard').length;
        expect(dropFilter(dump.seccomp, dump.cores, Buffer.from('guard'))).toBe(guards);
        const after = written(schema, dump);
        expect(filtersIn(after)).toHaveLength(threads.flat().length - guards);
        expect(after.cores.map((core) => chainOf(after, core))).toEqual(
          threads.map((chain) => chain.filter((filter) => filter !== 'guard')),
        );
      }),
    );
  });

  it('that no thread has changes no byte', () => {
    const dump = dumpOf(schema, [['a', 'b'], [], ['guards']]);
    const before = encodeImage(schema, dump.seccomp);
    expect(dropFilter(dump.seccomp, dump.cores, Buffer.from('guard'))).toBe(0);
    expect(encodeImage(schema, dump.seccomp)).toEqual(before);
  });

  it('that was the only one leaves a thread as one that never had any', () => {
    const dump = dumpOf(schema, [['guard']]);
    dropFilter(dump.seccomp, dump.cores, Buffer.from('guard'));
    const [core] = dump.cores;
    expect(core && encodeImage(schema, core)).toEqual(encodeImage(schema, coreOf(schema, 0, undefined)));
  });
});

describe('filters', () => {
  it.each([
    ['beyond the last', [{ prev: 7 }], 0],
    ['of a thread beyond the last', [{}], 7],
    ['in a circle', [{ prev: 1 }, { prev: 0 }], 0],
  ])('with an index %s are refused, and nothing is changed', (_, links, first) => {
    const seccompFilters = links.map((link) => ({ filter: Buffer.from('guard'), ...link }));
    const seccomp = saved(builtSchema, 'seccomp.img', SECCOMP, {
      seccompFilters: [...seccompFilters, { filter: Buffer.from('other') }],
    });
    const core = coreOf(builtSchema, 1, first);
    const images = [seccomp, core];
    const before = images.map((image) => encodeImage(builtSchema, image));
    const drop = (): number => dropFilter(seccomp, [core], Buffer.from('guard'));
    expect(drop).toThrow(ImageError);
    expect(drop).toThrow('seccomp.img has no chain of filters that begins with number');
    expect(images.map((image) => encodeImage(builtSchema, image))).toEqual(before);
  });

  it('that are none need no removal', () => {
    const seccomp = { name: 'seccomp.img', magics: SECCOMP, entries: [] };
    expect(dropFilter(seccomp, [], Buffer.from('guard'))).toBe(0);
  });
});

const word = (address: string): number => Buffer.from(address.split('.').map(Number)).readUInt32LE(0);
const v4 = (address: string): number[] => [word(address)];
const mapped = (address: string): number[] => [0, 0, 0xffff0000, word(address)];

describe('an address', () => {
  const filesOf = (...sockets: readonly (readonly [number[], number[]])[]): Image => ({
    name: 'files.img',
    magics: [],
    entries: [
      { message: { type: 1, id: 1, reg: { name: '/10.10.0.2' } } },
      ...sockets.map(([srcAddr, dstAddr]) => ({ message: { isk: { srcAddr, dstAddr } } })),
    ],
  });
  const addresses = (files: Image): unknown[] =>
    files.entries.slice(1).map(({ message }) => {
      const { srcAddr, dstAddr } = message['isk'] as Fields;
      return [srcAddr, dstAddr];
    });

  it('of the application becomes another, at its own end and in connections to itself', () => {
    const any = v4('0.0.0.0');
    const files = filesOf(
      [v4('10.10.0.2'), any],
      [v4('10.10.0.2'), v4('10.10.0.1')],
      [mapped('10.10.0.2'), mapped('10.10.0.1')],
      [v4('10.10.0.2'), v4('10.10.0.2')],
    );
    expect(moveAddress(files, '10.10.0.2', '10.10.200.3')).toBe(4);
    expect(addresses(files)).toEqual([
      [v4('10.10.200.3'), any],
      [v4('10.10.200.3'), v4('10.10.0.1')],
      [mapped('10.10.200.3'), mapped('10.10.0.1')],
      [v4('10.10.200.3'), v4('10.10.200.3')],
    ]);
  });

  it('of others stays', () => {
    const sockets = [
      [v4('0.0.0.0'), v4('0.0.0.0')],
      [v4('127.0.0.1'), v4('10.10.0.20')],
      [
        [0, 0, 0, word('10.10.0.2')],
        [0, 0, 0, 0],
      ],
      [[], [1, 2]],
    ] as const;
    const files = filesOf(...(structuredClone(sockets as never) as never[]));
    expect(moveAddress(files, '10.10.0.2', '10.10.0.3')).toBe(0);
    expect(addresses(files)).toEqual(sockets);
  });

  it.each([
    ['10.10.0.256', '10.10.0.1'],
    ['10.10.0.1', 'localhost'],
  ])('must be one: %s to %s', (from, to) => {
    expect(() => moveAddress(filesOf(), from, to)).toThrow('is no IPv4 address');
  });
});

describe('connections', () => {
  const [TCP, UDP] = [6, 17];
  const [ESTABLISHED, CLOSED, LISTENING] = [1, 7, 10];
  const socket = (srcAddr: number[], dstAddr: number[], more: Fields = {}): Fields => ({
    ...{ srcAddr, dstAddr, proto: TCP, state: ESTABLISHED, srcPort: 80, dstPort: 40000 },
    ...more,
  });
  const filesOf = (sockets: readonly Fields[]): Image => ({
    name: 'files.img',
    magics: [],
    entries: [{ message: { id: 1, reg: { name: '/a' } } }, ...sockets.map((isk) => ({ message: { isk } }))],
  });

  it('with others are closed', () => {
    const sockets = [
      socket(v4('10.10.0.2'), v4('10.10.0.1')),
      socket(mapped('10.10.0.2'), mapped('10.10.0.1'), { state: 8 }),
    ];
    expect(closeConnections(filesOf(sockets))).toBe(0);
    for (const one of sockets) expect(one).toMatchObject({ state: CLOSED, srcPort: 0, dstPort: 0 });
  });

  it('of the application with itself, listeners and what is not TCP stay', () => {
    const inner = [
      socket(v4('127.0.0.1'), v4('127.0.0.1')),
      socket(v4('127.0.0.1'), v4('127.3.4.5')),
      socket(mapped('10.10.0.2'), mapped('10.10.0.2')),
      socket([0, 0, 0, 0x01000000], [0, 0, 0, 0x01000000]),
    ];
    const others = [
      socket(v4('0.0.0.0'), v4('0.0.0.0'), { state: LISTENING, dstPort: 0 }),
      socket(v4('10.10.0.2'), v4('10.10.0.1'), { proto: UDP, state: CLOSED }),
    ];
    const files = filesOf([...inner, ...others]);
    const before = structuredClone(files);
    expect(closeConnections(files)).toBe(inner.length);
    expect(files).toEqual(before);
  });
});

describe('sizes of files', () => {
  it('are forgotten where others may write to them', () => {
    const file = (name: string): { message: Fields } => ({ message: { id: 1, reg: { name, size: 4n } } });
    const entries = [file('/srv/a'), file('/etc/b'), { message: { id: 2, isk: {} } }];
    const files: Image = { name: 'files.img', magics: [], entries };
    expect(forgetSizes(files, (path) => path.startsWith('/srv/'))).toBe(1);
    expect(entries.map(({ message }) => message)).toEqual([
      { id: 1, reg: { name: '/srv/a' } },
      { id: 1, reg: { name: '/etc/b', size: 4n } },
      { id: 2, isk: {} },
    ]);
    expect(forgetSizes(files, () => true)).toBe(1);
    expect(forgetSizes(files, () => true)).toBe(0);
  });
});

describe('pipes', () => {
  it('of the usual size are not given it, unless data fills them', () => {
    const entries = [
      { message: { pipeId: 1, bytes: 0, size: 65_536 } },
      { message: { pipeId: 2, bytes: 0, size: 1_048_576 } },
      { message: { pipeId: 3, bytes: 5, size: 65_536 } },
      { message: { pipeId: 4, bytes: 0 } },
    ];
    expect(leavePipeSizes({ name: 'pipes-data.img', magics: [], entries })).toBe(1);
    expect(entries.map(({ message }) => message.size)).toEqual([undefined, 1_048_576, 65_536, undefined]);
  });
});
