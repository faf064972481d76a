/** What cannot be in a template. */
import { describe, expect, it } from 'vitest';
import type { DumpSummary } from '../../src/criu/index.ts';
import type { ClassifyInput } from '../../src/templates/classify/found.ts';
import { refusals } from '../../src/templates/classify/refusals.ts';
import { inputOf, mapping, object, process, rule, socket } from './templates-input.ts';

const onVolume = { spec: { volumes: [{ source: '/srv/data', target: '/data' }] } };

const lock = (more: Partial<DumpSummary['locks'][number]>): Partial<DumpSummary> => ({
  locks: [{ pid: 1001, path: '/data/lock', kind: 'flock', exclusive: true, ...more }],
});

describe('a template', () => {
  it('may hold what every environment has', () => {
    const names = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom'];
    const input = inputOf({
      objects: [
        ...names.map((name) => object('device', { name })),
        object('terminal', { name: '/dev/pts/0' }),
        object('terminal', { name: '/dev/pts/ptmx' }),
        object('terminal', { name: '/dev/tty' }),
        object('epoll'),
      ],
      processes: [process(1001, { mappings: [mapping({ kind: 'file', path: '/dev/zero' })] })],
    });
    expect(refusals(input)).toEqual([]);
  });

  it.each([
    [
      object('device', { name: '/dev/ttyACM0' }),
      'web (1001) has the device /dev/ttyACM0, which clones cannot share',
    ],
    [
      object('terminal', { name: '/dev/ttyS0' }),
      'web (1001) has the device /dev/ttyS0, which clones cannot share',
    ],
    [object('tun device'), 'web (1001) has a network device (tun), which is one for all clones'],
    [object('external file'), 'web (1001) has a file from outside the application'],
    [object('BPF map'), 'web (1001) has a BPF map, which is loaded into the kernel'],
  ])('must not hold a device: %o', (held, reason) => {
    expect(refusals(inputOf({ objects: [held, held] }))).toEqual([reason]);
  });

  it('must not be given devices, nor have them mapped', () => {
    const mappings = [mapping({ kind: 'shared file', path: '/dev/mem' })];
    const volumes = [
      { source: '/dev/snd', target: '/dev/snd' },
      { source: '/dev/shm/pool', target: '/pool' },
      { source: '/dev/null', target: '/etc/off' },
      { source: '/device', target: '/device' },
    ];
    expect(refusals(inputOf({ processes: [process(1001, { mappings })] }, { spec: { volumes } }))).toEqual([
      'the volume /dev/snd gives it devices of this machine, which clones cannot share',
      'web (1001) has mapped the device /dev/mem, which clones cannot share',
    ]);
  });
});

describe('on a volume, which all clones share', () => {
  it('must be no lock that keeps others out', () => {
    const reason =
      'web (1001) has locked /data/lock, which lies on a volume: only one application could hold the lock';
    expect(refusals(inputOf(lock({}), onVolume))).toEqual([reason]);
    expect(refusals(inputOf(lock({ kind: 'lease', exclusive: false }), onVolume))).toEqual([reason]);
    expect(refusals(inputOf(lock({ exclusive: false }), onVolume))).toEqual([]);
    expect(refusals(inputOf(lock({ path: '/database/lock' }), onVolume))).toEqual([]);
  });

  it('must be no fifo and no socket that listens', () => {
    const objects = [
      object('fifo', { name: '/data/fifo' }),
      object('fifo', { name: '/tmp/fifo' }),
      socket('unix', '/data/web', '', 'listening'),
      socket('unix', '/data/web', '', 'established'),
      socket('unix', '/run/web', '', 'listening'),
    ];
    expect(refusals(inputOf({ objects }, onVolume))).toEqual([
      "web (1001) has the fifo /data/fifo, which lies on a volume: applications would read each other's data",
      'web (1001) has the Unix socket /data/web, which lies on a volume: only one application could have it',
    ]);
  });
});

describe('a rule', () => {
  const wanting = (classification: object): ClassifyInput['rules'] =>
    inputOf(
      {},
      {
        rules: {
          classifications: [
            { ...rule, type: 'file', pattern: null, access: 'any', class: 'plain', ...classification },
          ],
        },
      },
    ).rules;

  const objects = [
    object('file', { name: '/srv/a', writes: true }),
    object('file', { name: '/srv/b', writes: true }),
    socket('tcp', '0.0.0.0:80', '', 'listening'),
  ];

  it.each([
    { class: 'duplicate' },
    { class: 'copy-on-write' },
    { class: 'plain' },
    { type: 'port', class: 'virtualize' },
    { type: 'process', class: 'virtualize' },
    { type: 'semaphore', class: 'shared' },
  ])('may say what happens anyway: %j', (classification) => {
    expect(refusals(inputOf({ objects }, { rules: wanting(classification) }))).toEqual([]);
  });

  it('must not say what does not happen', () => {
    expect(refusals(inputOf({ objects }, { rules: wanting({ class: 'shared' }) }))).toEqual([
      'web.rules:3 wants the class shared for the file /srv/a and 1 more, ' +
        "which can only be copy-on-write or duplicate or plain: copied into the clone's own layer",
    ]);
    const rules = wanting({ type: 'volume', class: 'duplicate' });
    expect(refusals(inputOf({}, { ...onVolume, rules }))).toEqual([
      'web.rules:3 wants the class duplicate for the volume /data, ' +
        "which can only be shared: the machine's own, one for source and clones",
    ]);
  });
});
