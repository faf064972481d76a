/** Image files, bytes to objects and back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImageError, IMAGE_KINDS, decodeImage, encodeImage, imageKind } from '../../src/criu/index.ts';
import type { Image, Schema } from '../../src/criu/index.ts';
import { damaged, imageOf, kindsOf, nameOf } from './criu-image-arbitrary.ts';
import { builtSchema, newerSchema, schemas } from './criu-schema.ts';

const COMMON = 0x54564319;
const PIPES_DATA = 0x56453709;
const IDS = { vmId: 3, filesId: 4, fsId: 5, sighandId: 6 };

const u32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32LE(value, index * 4));
  return bytes;
};

const frame = (message: Uint8Array | string): Buffer =>
  Buffer.concat([u32(message.length), Buffer.from(message as string)]);

const PIPES = u32(COMMON, PIPES_DATA);

/** One pipe's data: `0d` is the ID 13, `05` the number of bytes. */
const pipe = (data: string): Buffer =>
  Buffer.concat([frame(Buffer.from([0x08, 13, 0x10, data.length])), Buffer.from(data)]);

/** Undefined for what is no image; anything else than an ImageError is thrown. */
const attempt = (schema: Schema, name: string, bytes: Uint8Array): Image | undefined => {
  try {
    return decodeImage(schema, name, bytes);
  } catch (error) {
    if (error instanceof ImageError && error.file === name && error.message.startsWith(`${name} `))
      return undefined;
    throw error;
  }
};

describe('an image file', () => {
  it('is its magic numbers, then messages behind their lengths with their data', () => {
    const bytes = Buffer.concat([PIPES, pipe('hello'), pipe(''), pipe('you')]);
    const image = decodeImage(builtSchema, 'pipes-data.img', bytes);
    expect(image).toMatchObject({ name: 'pipes-data.img', magics: [COMMON, PIPES_DATA] });
    expect(image.entries.map(({ message, payload }) => [message['bytes'], payload?.toString()])).toEqual([
      [5, 'hello'],
      [0, undefined],
      [3, 'you'],
    ]);
    expect(encodeImage(builtSchema, image)).toEqual(bytes);
  });

  it('of an old version has one magic number', () => {
    const bytes = Buffer.concat([u32(PIPES_DATA), pipe('hello')]);
    const image = decodeImage(builtSchema, 'pipes-data.img', bytes);
    expect(image.magics).toEqual([PIPES_DATA]);
    expect(encodeImage(builtSchema, image)).toEqual(bytes);
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'ends within its magic number, at byte 0'],
    ['half a magic number', Buffer.alloc(3), 'ends within its magic number, at byte 0'],
    ['one magic number of two', u32(COMMON), 'ends within its magic numbers, at byte 4'],
    ["another image's magic number", u32(COMMON, 7), 'has the magic number of something else, at byte 4'],
    ['half a length', Buffer.concat([PIPES, Buffer.alloc(2)]), 'ends within a length, at byte 8'],
    ['half a message', Buffer.concat([PIPES, u32(4), Buffer.alloc(3)]), 'ends within a message, at byte 12'],
    ['a huge length', Buffer.concat([PIPES, u32(0xffffffff)]), 'ends within a message, at byte 12'],
    ['less data than told', Buffer.concat([PIPES, pipe('hello')]).subarray(0, -1), 'ends within the data'],
    ['what is no message', Buffer.concat([PIPES, frame('\x0f')]), 'holds no pipe_data_entry at byte 8'],
    ['a message without a required field', Buffer.concat([PIPES, frame('\x08\x01')]), 'required'],
  ])('is refused when it holds %s', (_, bytes, reason) => {
    const decode = (): Image => decodeImage(builtSchema, 'pipes-data.img', bytes);
    expect(decode).toThrow(ImageError);
    expect(decode).toThrow(`pipes-data.img ${reason === 'required' ? 'holds no' : reason}`);
    expect(decode).toThrow(reason);
  });

  it('is refused when it is raw or something else', () => {
    for (const name of [
      'pages-1.img',
      'iptables-9.img',
      'tmpfs-3.tar.gz.img',
      'mm-.img',
      'xmm-1.img',
      'dump.log',
    ])
      expect(() => decodeImage(builtSchema, name, PIPES)).toThrow(`${name} is no image of messages`);
  });
});

describe('a layout', () => {
  const IPC = [COMMON, 0x55453737];

  it('has the messages of a queue behind it, filled up to eight bytes', () => {
    const message = { message: { mtype: 1n, msize: 3 }, payload: Buffer.from('abc\0\0\0\0\0') };
    const entries = [{ message: { qnum: 1 } }, message, { message: { qnum: 0 } }, { message: { qnum: 2 } }];
    const image = { name: 'ipcns-msg-9.img', magics: IPC, entries: [...entries, message, message] };
    const bytes = encodeImage(builtSchema, image);
    expect(encodeImage(builtSchema, decodeImage(builtSchema, image.name, bytes))).toEqual(bytes);
    const cut = bytes.subarray(0, -16);
    expect(() => decodeImage(builtSchema, image.name, cut)).toThrow('ends where a ipc_msg is missing');
    expect(() => encodeImage(builtSchema, { ...image, entries })).toThrow('would lack a ipc_msg');
  });

  it('of a deleted file has all of it, or its parts', () => {
    const name = 'ghost-file-1f.img';
    const magics = [COMMON, 0x52583605];
    const whole = {
      name,
      magics,
      entries: [{ message: { mode: 0o100644 }, payload: Buffer.from('all of it') }],
    };
    const part = { message: { len: 4n, off: 4096n }, payload: Buffer.from('part') };
    const parts = { name, magics, entries: [{ message: { mode: 0o100644, chunks: true } }, part, part] };
    for (const image of [whole, parts]) {
      const { entries } = decodeImage(builtSchema, name, encodeImage(builtSchema, image));
      expect(entries).toMatchObject(image.entries);
    }
  });

  it('has shared memory in place, or in a pagemap', () => {
    const entries = [
      { message: { size: 5n }, payload: Buffer.from('hello\0\0\0') },
      { message: { size: 1n << 40n, inPagemaps: true } },
    ];
    const image = { name: 'ipcns-shm-9.img', magics: [COMMON, 0x46283044], entries };
    const bytes = encodeImage(builtSchema, image);
    expect(decodeImage(builtSchema, image.name, bytes).entries).toMatchObject(entries);
  });

  it.each([
    ['pagemap-1.img', [COMMON, 0x56084025], [], 'would lack a pagemap_head'],
    ['ids-1.img', [COMMON, 0x54432030], [{ message: IDS }, { message: IDS }], 'an entry too many: number 1'],
    [
      'ids-1.img',
      [COMMON, 0x54432030],
      [{ message: { vmId: 3 } }],
      'cannot hold entry 0 as task_kobj_ids_entry',
    ],
    [
      'pipes-data.img',
      [COMMON, PIPES_DATA],
      [{ message: { pipeId: 1, bytes: 4 }, payload: Buffer.from('five!') }],
      'would have 5 bytes of data behind a pipe_data_entry of 4',
    ],
  ])('of %s refuses what does not belong there', (name, magics, entries, reason) => {
    expect(() => encodeImage(builtSchema, { name, magics, entries })).toThrow(reason);
  });
});

describe('a message', () => {
  const ids = (...messages: Uint8Array[]): Buffer =>
    Buffer.concat([u32(COMMON, 0x54432030), ...messages.map(frame)]);

  it('keeps what the schema does not know, also when it is changed', () => {
    const bytes = ids(newerSchema.encode('task_kobj_ids_entry', { ...IDS, newerId: 77 }));
    const image = decodeImage(builtSchema, 'ids-1.img', bytes);
    expect(encodeImage(builtSchema, image)).toEqual(bytes);
    image.entries[0]!.message['userNsId'] = 2;
    const changed = decodeImage(newerSchema, 'ids-1.img', encodeImage(builtSchema, image));
    expect(changed.entries[0]?.message).toMatchObject({ ...IDS, userNsId: 2, newerId: 77 });
  });

  it('that is written in another order keeps its bytes until it is changed', () => {
    const turned = ids(Buffer.from('2006180510040803', 'hex'));
    const image = decodeImage(builtSchema, 'ids-1.img', turned);
    expect(encodeImage(builtSchema, image)).toEqual(turned);
    image.entries[0]!.message['vmId'] = 9;
    expect(encodeImage(builtSchema, image)).toEqual(ids(Buffer.from('0809100418052006', 'hex')));
    image.entries[0]!.message['vmId'] = 3;
    expect(encodeImage(builtSchema, image)).toEqual(turned);
  });

  it('keeps text that is no UTF-8, also when something else is changed', () => {
    const target = Buffer.from('61ffc3a9c3ed b280f09f9880e2 82'.replaceAll(' ', ''), 'hex');
    const ghost = (mode: number): Buffer =>
      Buffer.concat([
        u32(COMMON, 0x52583605),
        frame(Buffer.concat([Buffer.from([0x18, mode, 0x5a, target.length]), target])),
      ]);
    const image = decodeImage(builtSchema, 'ghost-file-1.img', ghost(1));
    expect(image.entries[0]?.message['symlnkTarget']).toBe('a\udcffé\udcc3\udced\udcb2\udc80😀\udce2\udc82');
    image.entries[0]!.message['mode'] = 2;
    expect(encodeImage(builtSchema, image)).toEqual(ghost(2));
  });

  it('keeps any text in all that is changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (target) => {
        const head = Buffer.from([0x18, 1, 0x5a, target.length]);
        const bytes = Buffer.concat([u32(COMMON, 0x52583605), frame(Buffer.concat([head, target]))]);
        const { name, magics, entries } = decodeImage(builtSchema, 'ghost-file-1.img', bytes);
        // What is put into a new message is written without a look at what was read.
        const copies = entries.map(({ message }) => ({ message: { ...message } }));
        expect(encodeImage(builtSchema, { name, magics, entries: copies })).toEqual(bytes);
      }),
    );
  });

  it('may be put into another when it is made by the schema', () => {
    const image = decodeImage(
      builtSchema,
      'seccomp.img',
      Buffer.concat([u32(COMMON, 0x64413049), frame('')]),
    );
    const filters = image.entries[0]!.message['seccompFilters'] as unknown[];
    filters.push(builtSchema.make('seccomp_filter', { filter: Buffer.from('f'), prev: 0 }));
    const again = decodeImage(builtSchema, 'seccomp.img', encodeImage(builtSchema, image));
    expect(again.entries[0]?.message['seccompFilters']).toMatchObject([{ prev: 0 }]);
  });
});

describe('the kinds', () => {
  it('know each name once', () => {
    for (const kind of IMAGE_KINDS) expect(imageKind(nameOf(kind))).toBe(kind);
  });

  it.each(schemas.slice(1))('are all in the schema of %s', (_, schema) => {
    expect(kindsOf(schema)).toEqual(IMAGE_KINDS);
  });
});

describe.each(schemas)('images, by %s,', (_, schema) => {
  const kinds = kindsOf(schema);
  const RUNS = 250;
  const MANY = 1 << 16;

  it('read back as they were written', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.gen(), (kind, gen) => {
        const image = imageOf(gen, schema, kind);
        const bytes = encodeImage(schema, image);
        const read = decodeImage(schema, image.name, bytes);
        expect(read.entries.map(({ payload }) => payload)).toEqual(
          image.entries.map(({ payload }) => payload),
        );
        expect(encodeImage(schema, read)).toEqual(bytes);
      }),
      { numRuns: RUNS },
    );
  });

  it('that are damaged are refused as such, or come back unchanged', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.gen(), (kind, gen) => {
        const image = imageOf(gen, schema, kind);
        const bytes = damaged(gen, encodeImage(schema, image));
        const read = attempt(schema, image.name, bytes);
        expect(read ? encodeImage(schema, read) : bytes).toEqual(bytes);
      }),
      { numRuns: RUNS * 2 },
    );
  });

  it('of any bytes behind the magic number are refused as such, or come back unchanged', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.uint8Array({ maxLength: 200 }), (kind, rest) => {
        const bytes = Buffer.concat([u32(kind.magic), rest]);
        const read = attempt(schema, nameOf(kind), bytes);
        expect(read ? encodeImage(schema, read) : bytes).toEqual(bytes);
      }),
      { numRuns: RUNS * 2 },
    );
  });

  it.each([0x00, 0x08, 0x0a, 0x0b, 0xff])('of many bytes %i are refused or read at once', (byte) => {
    for (const kind of kinds) {
      const began = performance.now();
      attempt(schema, nameOf(kind), Buffer.concat([u32(kind.magic), Buffer.alloc(MANY, byte)]));
      const message = Buffer.concat([u32(kind.magic, MANY), Buffer.alloc(MANY, byte)]);
      attempt(schema, nameOf(kind), message);
      expect(performance.now() - began).toBeLessThan(1000);
    }
  });
});
