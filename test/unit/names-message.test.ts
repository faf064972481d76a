/** Messages of the name protocol: whatever arrives. */
import packet from 'dns-packet';
import type { Packet } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isReplyTo, readQuery, withId } from '../../src/names/message.ts';
import type { Query } from '../../src/names/message.ts';
import { buildReply, fitUdp } from '../../src/names/reply.ts';
import { dataOf, question, rcodeOf } from './names-client.ts';

const queryOf = (message: Buffer): Query => {
  const received = readQuery(message);
  if (received === undefined || 'refused' in received) throw new Error('not a question');
  return received.query;
};

const refusalOf = (message: Buffer): string | undefined => {
  const received = readQuery(message);
  return received !== undefined && 'refused' in received
    ? rcodeOf(packet.decode(received.refused))
    : undefined;
};

const addresses = (count: number) =>
  Array.from(
    { length: count },
    (_, index) => ({ type: 'A', data: `10.0.${index >> 8}.${index & 255}` }) as const,
  );

const found = (query: Query, count: number): Buffer =>
  buildReply(query, { rcode: 'NOERROR', records: addresses(count), authoritative: true, recursive: false });

describe('a message', () => {
  it('that is a question is read', () => {
    expect(queryOf(question('Web', 'AAAA', { edns: 1400 }))).toMatchObject({
      name: 'Web',
      type: 'AAAA',
      class: 'IN',
      edns: { version: 0 },
      udpBytes: 1232,
    });
    expect(queryOf(question('web')).udpBytes).toBe(512);
    expect(queryOf(question('web', 'A', { edns: 100 })).udpBytes).toBe(512);
    expect(queryOf(question('web', 'A', { edns: 900 })).udpBytes).toBe(900);
  });

  it.each<[string, Packet]>([
    ['of another kind', { flags: 5 << 11 }],
    ['that is a change', { flags: 4 << 11 }],
  ])('%s is not implemented', (_, more) => expect(refusalOf(question('web', 'A', more))).toBe('NOTIMP'));

  const twice: Packet = {
    questions: [
      { name: 'a', type: 'A' },
      { name: 'b', type: 'A' },
    ],
  };
  it.each<[string, Buffer]>([
    ['without a question', question('web', 'A', { questions: [] })],
    ['with two questions', question('web', 'A', twice)],
    ['with an answer', question('web', 'A', { answers: [{ name: 'web', type: 'A', data: '1.2.3.4' }] })],
    ['that is cut', question('web').subarray(0, -1)],
    ['that is too long', Buffer.concat([question('web'), Buffer.alloc(4096)])],
    [
      'with a name that refers to itself',
      Buffer.concat([question('').subarray(0, 12), Buffer.of(0xc0, 12, 0, 1, 0, 1)]),
    ],
  ])('%s is malformed', (_, message) => expect(refusalOf(message)).toBe('FORMERR'));

  it.each([
    ['a reply', question('web', 'A', { type: 'response' })],
    ['a refusal of a reply', question('web', 'A', { type: 'response', flags: 5 << 11, questions: [] })],
    ['shorter than a header', Buffer.alloc(11)],
    ['nothing', Buffer.alloc(0)],
  ])('that is %s has no reply', (_, message) => expect(readQuery(message)).toBeUndefined());
});

describe('a reply', () => {
  it('repeats the question as it was asked, and has the records', () => {
    const asked = question('WeB.appshot.internal', 'A', { edns: 1232, id: 4711 });
    const reply = packet.decode(found(queryOf(asked), 2));
    expect(reply).toMatchObject({
      id: 4711,
      type: 'response',
      flag_aa: true,
      flag_rd: true,
      flag_ra: false,
      questions: [{ name: 'WeB.appshot.internal' }],
    });
    expect(reply.answers).toMatchObject([
      { name: 'WeB.appshot.internal', type: 'A', ttl: 5, data: '10.0.0.0' },
      { name: 'WeB.appshot.internal', type: 'A', ttl: 5, data: '10.0.0.1' },
    ]);
    expect(reply.additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 1232 }]);
  });

  it('tells for how long a name stays unknown', () => {
    const query = queryOf(question('x.appshot.internal'));
    const reply = packet.decode(buildReply(query, { rcode: 'NXDOMAIN', soa: true, recursive: false }));
    expect(rcodeOf(reply)).toBe('NXDOMAIN');
    expect(reply.authorities).toMatchObject([
      { name: 'appshot.internal', type: 'SOA', ttl: 1, data: { minimum: 1 } },
    ]);
  });

  it.each([
    [undefined, 29, 512],
    [1232, 73, 1232],
  ])('fits into UDP with EDNS %s when it has %i addresses, and is cut with more', (edns, count, limit) => {
    const query = queryOf(question('web', 'A', edns === undefined ? {} : { edns }));
    const fits = fitUdp(query, found(query, count));
    expect(packet.decode(fits)).toMatchObject({ flag_tc: false, answers: { length: count } });
    expect(fits.length).toBeLessThanOrEqual(limit);
    expect(found(query, count + 3).length).toBeGreaterThan(limit);
    const cut = packet.decode(fitUdp(query, found(query, count + 3)));
    expect(cut).toMatchObject({ flag_tc: true, answers: [], questions: [{ name: 'web' }] });
    expect(cut.additionals).toHaveLength(edns === undefined ? 0 : 1);
    expect(rcodeOf(cut)).toBe('NOERROR');
  });

  it('is another when its identifier, its question or its direction is', () => {
    const asked = question('web');
    const { end } = queryOf(asked);
    const reply = found(queryOf(question('WEB')), 1);
    expect(isReplyTo(asked, end, reply)).toBe(true);
    expect(isReplyTo(asked, end, withId(reply, 8))).toBe(false);
    expect(isReplyTo(asked, end, found(queryOf(question('wet')), 1))).toBe(false);
    expect(isReplyTo(asked, end, found(queryOf(question('web', 'AAAA')), 1))).toBe(false);
    expect(isReplyTo(asked, end, asked)).toBe(false);
    expect(isReplyTo(asked, end, reply.subarray(0, 8))).toBe(false);
  });
});

/** Questions with some bytes changed, and bytes without a meaning. */
const ANYTHING = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(
      fc.stringMatching(/^[a-z.]{0,40}$/),
      fc.constantFrom('A', 'PTR', 'ANY', 'TXT'),
      fc.option(fc.integer({ min: 0, max: 65_535 }), { nil: undefined }),
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    )
    .map(([name, type, edns, changes]) => {
      const bytes = Buffer.from(question(name, type, edns === undefined ? {} : { edns }));
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes;
    }),
);

describe('anything that arrives', () => {
  it('never throws, never answers a reply, and is only answered with a reply to it', () => {
    fc.assert(
      fc.property(ANYTHING, fc.nat(100), (message, count) => {
        const received = readQuery(message);
        const isReply = message.length < 12 || (message[2] ?? 0) >= 0x80;
        expect(received === undefined).toBe(isReply);
        if (received === undefined) return;
        const reply =
          'refused' in received ? received.refused : fitUdp(received.query, found(received.query, count));
        expect(reply.length).toBeLessThanOrEqual(1232);
        expect(reply.readUInt16BE(0)).toBe(message.readUInt16BE(0));
        expect((reply[2] ?? 0) >= 0x80).toBe(true);
        const { flag_tc: cut, ...decoded } = packet.decode(reply);
        const counts = 'refused' in received || cut ? [0] : [count];
        expect(counts).toContain(dataOf(decoded).length);
        const rcodes = 'refused' in received ? ['NOTIMP', 'FORMERR'] : ['NOERROR'];
        expect(rcodes).toContain((decoded as unknown as { rcode: string }).rcode);
      }),
      { numRuns: 5000 },
    );
  });
});
