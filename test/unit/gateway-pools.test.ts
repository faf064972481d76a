import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/gateway/index.ts';
import { layOut, place, weightOf } from '../../src/gateway/pools.ts';
import type { Pool } from '../../src/gateway/pools.ts';
import { parseProc } from '../../src/gateway/runtime.ts';
import { parseAnswers, parseStat, parseTunnels, statisticsOf } from '../../src/gateway/stats.ts';

const backend = (name: string, awake = true): Backend => ({ name, address: '10.10.0.2', port: 80, awake });
const services = (all: Record<string, readonly Backend[]>) =>
  new Map(Object.entries(all).map(([name, backends]) => [name, { backends, concurrency: 0 }]));

let made = 0;
const nextName = (): string => `p${made++}`;
const namesIn = (pool: Pool | undefined): (string | undefined)[] =>
  pool?.slots.map((slot) => slot?.name) ?? [];

describe('pools', () => {
  it('have room for more services and backends', () => {
    const before = layOut([], services({ a: [backend('one')] }), nextName);
    const after = place(
      before,
      services({ b: [], a: ['one', 'two', 'three', 'four'].map((name) => backend(name)) }),
    );
    expect(namesIn(after?.[0])).toEqual(['one', 'two', 'three', 'four']);
    expect(after?.[1]?.service).toBe('b');
    const many = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`s${index}`, []]));
    expect(place(before, services({ a: [], ...many }))).toBeUndefined();
    expect(
      place(before, services({ a: Array.from({ length: 5 }, (_, index) => backend(`${index}`)) })),
    ).toBeUndefined();
  });

  it('are not given to another service before a reload, and keep their names over one', () => {
    const before = layOut([], services({ a: [], b: [] }), nextName);
    const after = place(before, services({ b: [], c: [] })) ?? [];
    expect(after[0]).toMatchObject({ service: undefined, left: true });
    expect(after[2]?.service).toBe('c');
    const back = place(after, services({ a: [], b: [], c: [] })) ?? [];
    expect(back[0]?.service).toBeUndefined();
    expect(back[3]?.service).toBe('a');
    const laid = layOut(after, services({ b: [], c: [] }), nextName);
    expect(laid.slice(0, 2).map(({ name }) => name)).toEqual([before[1]?.name, before[2]?.name]);
    expect(new Set([...before, ...laid].map(({ name }) => name)).size).toBe(before.length + laid.length - 2);
  });

  it('leave backends in their slots and give away those of backends that went', () => {
    const before = layOut([], services({ a: [backend('one'), backend('two'), backend('three')] }), nextName);
    const after = place(before, services({ a: [backend('four'), backend('three'), backend('one')] }));
    expect(namesIn(after?.[0]).slice(0, 4)).toEqual(['one', 'four', 'three', undefined]);
  });

  it('hold exactly what is wanted, whatever it was before', () => {
    const wanted = fc.dictionary(
      fc.string({ maxLength: 2 }),
      fc.uniqueArray(fc.string({ maxLength: 2 }), { maxLength: 5 }),
    );
    const from = (plan: Record<string, string[]>) =>
      new Map(
        Object.entries(plan).map(([name, all]) => [
          name,
          { backends: all.map((one) => backend(one)), concurrency: 0 },
        ]),
      );
    fc.assert(
      fc.property(fc.array(wanted, { minLength: 1, maxLength: 6 }), (plans) => {
        let pools: readonly Pool[] = [];
        for (const plan of plans) {
          pools = place(pools, from(plan)) ?? layOut(pools, from(plan), nextName);
          const held = pools.filter(({ service }) => service !== undefined);
          const names = held.map(({ service }) => service ?? '');
          expect(names.toSorted()).toEqual(Object.keys(plan).toSorted());
          for (const pool of held)
            expect(
              namesIn(pool)
                .filter((name) => name !== undefined)
                .toSorted(),
            ).toEqual(plan[pool.service ?? '']?.toSorted());
        }
      }),
    );
  });
});

describe('weights', () => {
  const weights = (...awake: boolean[]): number[] => {
    const [pool] = layOut([], services({ a: awake.map((is, index) => backend(`${index}`, is)) }), nextName);
    return pool === undefined ? [] : awake.map((_, index) => weightOf(pool, index));
  };

  it('are of those that are awake, and of one sleeper when none is', () => {
    expect(weights(true, false, true)).toEqual([100, 0, 100]);
    expect(weights(false, false, true)).toEqual([0, 0, 100]);
    expect(weights(false, false)).toEqual([100, 0]);
  });
});

describe('measurements', () => {
  const head = '# pxname,svname,qcur,scur,stot,econ,rate,hrsp_5xx,qtime,ctime,rtime,ttime,';

  it('are those of the worker that serves; what goes on in others is added', () => {
    const [pool, other] = layOut([], services({ shop: [backend('one')], idle: [] }), () => `q${made++}`);
    const rows = parseStat(
      `${head}\nweb,FRONTEND,,9,,,9,,,,,,\n${pool?.name}/s0,x,,,,,,,,,,,\n${pool?.name},s0,0,1,10,2,5,,0,1,7,9,\n${pool?.name},BACKEND,3,1,10,2,5,4,6,1,7,9,\n`,
    );
    const before = parseStat(`${head}\n${pool?.name},BACKEND,0,2,500,0,1,0,0,100,100,100,\n`);
    const now = {
      rows,
      answers: parseAnswers(
        `${pool?.name} 6000 100\n${pool?.name} 7500 10\n${other?.name} 9000 7\n${pool?.name} 9000 -1\n`,
      ),
      tunnels: parseTunnels(`# table: tunnels\n0x7f: key=${pool?.name}/s0 use=1 exp=86398982 conn_cur=1\n`),
    };
    const older = { rows: before, answers: parseAnswers(`${pool?.name} 8000 20`), tunnels: new Map() };
    const pools = [pool, other].filter((one) => one !== undefined);
    const [shop, idle] = statisticsOf(pools, [now, older], 10_000);
    expect(shop).toMatchObject({
      ...{ service: 'shop', requestsPerSecond: 6, sessions: 3, queue: 3, requests: 10 },
      ...{ queueMs: 6, connectMs: 1, responseMs: 7, totalMs: 9, connectErrors: 2, serverErrors: 4 },
      recent: { answers: 2, responseMs: 15 },
      backends: [{ name: 'one', requestsPerSecond: 5, sessions: 1, open: 0, totalMs: 9 }],
    });
    expect(idle).toMatchObject({
      service: 'idle',
      recent: { answers: 1, responseMs: 7 },
      requests: 0,
      totalMs: 0,
      backends: [],
    });
  });

  it("name the master's workers", () => {
    const printed = `#<PID>          <type>          <reloads>       <uptime>        <version>
28774           master          2 [failed: 1]   0d00h00m05s     2.6.12-1+deb12u4
# workers
29129           worker          1               0d00h00m02s     2.6.12-1+deb12u4
# programs
`;
    expect(parseProc(printed)).toEqual({ master: 28774, reloads: 2, workers: [{ pid: 29129, reloads: 1 }] });
    expect(() => parseProc('')).toThrow(/master/);
  });
});
