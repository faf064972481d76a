import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InetSocket } from '../../src/kernel/index.ts';
import { macOf } from '../../src/network/index.ts';
import { isReason } from '../../src/network/question.ts';

const SLEEPER = '10.10.0.2';
const nothing = { listening: [], connections: [] };
const web = { listening: [{ protocol: 'tcp', port: 80 } as const], connections: [] };
const dns = { listening: [{ protocol: 'udp', port: 53 } as const], connections: [] };
const connected = {
  listening: [],
  connections: [{ localPort: 5432, remote: '10.10.0.3', remotePort: 40000 }],
};

const socket = (remoteAddress: string, remotePort: number): InetSocket => ({
  state: 'SYN_SENT',
  localAddress: '10.10.0.3',
  localPort: 40000,
  remoteAddress,
  remotePort,
  receiveQueue: 0,
  sendQueue: 1,
  inode: 1,
  uid: 0,
});
const asking = (...sockets: InetSocket[]) => ({ kind: 'application', sockets }) as const;

describe('a question for a sleeper', () => {
  it('of this machine is always a reason: its packet has passed the filter', () => {
    expect(isReason({ kind: 'machine' }, SLEEPER, nothing)).toBe(true);
  });

  it.each([
    ['that listens', web, true],
    ['that holds a connection', connected, true],
    ['that nobody can reach', nothing, false],
  ])('of a stranger, %s', (_, reachable, reason) => {
    expect(isReason({ kind: 'stranger' }, SLEEPER, reachable)).toBe(reason);
  });

  it.each([
    ['connects to a port that is listened on', web, asking(socket(SLEEPER, 80)), true],
    ['connects to another port', web, asking(socket(SLEEPER, 81)), false],
    ['connects to that port of another', web, asking(socket('10.10.0.9', 80)), false],
    [
      'has several sockets, one of them meant',
      web,
      asking(socket('10.10.0.9', 1), socket(SLEEPER, 80)),
      true,
    ],
    ['has none', web, asking(), false],
    ['has closed its connection', web, asking({ ...socket(SLEEPER, 80), state: 'TIME_WAIT' }), false],
    ['holds its connection', connected, asking(socket(SLEEPER, 5432)), true],
    ['may send a datagram', dns, asking(), true],
    ['cannot send a datagram', nothing, asking(socket(SLEEPER, 53)), false],
  ])('of an application that %s', (_, reachable, asker, reason) => {
    expect(isReason(asker, SLEEPER, reachable)).toBe(reason);
  });
});

describe('the hardware address of an address', () => {
  it('holds it', () => {
    expect(macOf('10.10.0.2')).toBe('02:a5:0a:0a:00:02');
    expect(macOf('192.168.255.254')).toBe('02:a5:c0:a8:ff:fe');
  });

  it('is unicast, locally administered, and of no other address', () => {
    const address = fc.ipV4();
    fc.assert(
      fc.property(address, address, (one, other) => {
        expect(macOf(one)).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
        expect(Number.parseInt(macOf(one), 16) & 0b11).toBe(0b10);
        expect(macOf(one) === macOf(other)).toBe(one === other);
      }),
    );
  });
});
