import { describe, expect, it } from 'vitest';
import type { InetSocket } from '../../src/kernel/index.ts';
import { useOf } from '../../src/resources/network-use.ts';

const tcp = (local: string, remote: string, given: Partial<InetSocket> = {}): InetSocket => {
  const [localAddress = '', localPort] = local.split(' ');
  const [remoteAddress = '', remotePort] = remote.split(' ');
  return {
    state: 'ESTABLISHED',
    localAddress,
    localPort: Number(localPort),
    remoteAddress,
    remotePort: Number(remotePort),
    receiveQueue: 0,
    sendQueue: 0,
    inode: 1,
    uid: 0,
    ...given,
  };
};
const listener = (local: string, given: Partial<InetSocket> = {}): InetSocket =>
  tcp(local, '0.0.0.0 0', { state: 'LISTEN', sendQueue: 128, ...given });
const udp = (local: string): InetSocket => tcp(local, '0.0.0.0 0', { state: 'CLOSE' });

describe('useOf', () => {
  it('counts listeners and every bound UDP port, but on loopback', () => {
    const { listening } = useOf(
      [
        listener('0.0.0.0 80'),
        listener(':: 443'),
        listener('127.0.0.1 81'),
        listener('::1 82'),
        tcp('10.0.0.2 80', '10.0.0.1 9'),
      ],
      [udp('0.0.0.0 53'), udp('127.0.0.53 53'), udp('10.0.0.2 123'), udp('0.0.0.0 0')],
    );
    expect(listening).toEqual([
      { protocol: 'tcp', address: '0.0.0.0', port: 80 },
      { protocol: 'tcp', address: '::', port: 443 },
      { protocol: 'udp', address: '0.0.0.0', port: 53 },
      { protocol: 'udp', address: '10.0.0.2', port: 123 },
    ]);
  });

  it('lists connections with others that a process holds', () => {
    const { connections } = useOf(
      [
        tcp('10.0.0.2 80', '10.0.0.1 4000'),
        tcp('10.0.0.2 5000', '10.0.0.9 443', { state: 'SYN_SENT' }),
        // Closed by the application, on its way to the end.
        tcp('10.0.0.2 80', '10.0.0.1 4001', { state: 'FIN_WAIT2', inode: 0 }),
        tcp('10.0.0.2 80', '10.0.0.1 4002', { state: 'TIME_WAIT', inode: 0 }),
        tcp('127.0.0.1 80', '127.0.0.1 4003'),
        // With itself, by its own address.
        tcp('10.0.0.2 80', '10.0.0.2 4004'),
        tcp('10.0.0.2 4004', '10.0.0.2 80'),
      ],
      [],
    );
    expect(connections).toEqual([
      { local: '10.0.0.2', localPort: 80, remote: '10.0.0.1', remotePort: 4000 },
      { local: '10.0.0.2', localPort: 5000, remote: '10.0.0.9', remotePort: 443 },
    ]);
  });

  it('counts connections that are being opened or wait in a queue, wherever they come from', () => {
    const sockets = [
      listener('0.0.0.0 80', { receiveQueue: 2 }),
      listener('127.0.0.1 81', { receiveQueue: 1 }),
      tcp('10.0.0.2 80', '10.0.0.1 4000', { state: 'SYN_RECV', inode: 0 }),
    ];
    expect(useOf(sockets, []).inFlight).toBe(4);
  });

  it('sums what others have not acknowledged, also after the application closed', () => {
    const sockets = [
      tcp('10.0.0.2 80', '10.0.0.1 4000', { sendQueue: 100 }),
      tcp('10.0.0.2 80', '10.0.0.1 4001', { sendQueue: 1, state: 'FIN_WAIT1', inode: 0 }),
      tcp('127.0.0.1 80', '127.0.0.1 4003', { sendQueue: 7 }),
      listener('0.0.0.0 80'),
    ];
    expect(useOf(sockets, []).unsent).toBe(101);
  });

  it('counts what others have closed and the application has not', () => {
    const sockets = [
      tcp('10.0.0.2 80', '10.0.0.1 4000', { state: 'CLOSE_WAIT' }),
      tcp('127.0.0.1 80', '127.0.0.1 4003', { state: 'CLOSE_WAIT' }),
      tcp('10.0.0.2 80', '10.0.0.1 4001'),
    ];
    expect(useOf(sockets, []).halfClosed).toBe(1);
  });
});
