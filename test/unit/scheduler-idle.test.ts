import { describe, expect, it } from 'vitest';
import { observe, sampleInterval } from '../../src/scheduler/idle.ts';
import type { Observation, Sample } from '../../src/scheduler/idle.ts';
import { datagramsIn, packetsFromOutside } from '../../src/scheduler/packets.ts';

const idleSeconds = ({ sample, activeAt }: Observation): number => (sample.at - activeAt) / 1000;

/** Observes samples of [milliseconds, packets, CPU in milliseconds]. */
const after = (...samples: readonly (readonly [number, number, number])[]): Observation => {
  const [first, ...rest] = samples.map(([at, packets, cpu]): Sample => ({
    at,
    packets,
    cpuMicroseconds: cpu * 1000,
  }));
  if (!first) throw new Error('no samples');
  return rest.reduce<Observation>(observe, observe(undefined, first));
};

describe('an application', () => {
  it('counts as active when it is first looked at', () => {
    const observation = after([5000, 17, 900]);
    expect(observation).toMatchObject({ activeAt: 5000, cpu: null });
    expect(idleSeconds(observation)).toBe(0);
  });

  it('is idle while nothing arrives and it computes next to nothing', () => {
    const observation = after([0, 5, 100], [1000, 5, 110], [2500, 5, 115]);
    expect(idleSeconds(observation)).toBe(2.5);
    expect(observation.cpu).toBeCloseTo(5 / 1500);
  });

  it('is active when a packet has arrived', () => {
    expect(idleSeconds(after([0, 5, 0], [1000, 6, 0]))).toBe(0);
    expect(idleSeconds(after([0, 5, 0], [1000, 6, 0], [1800, 6, 0]))).toBeCloseTo(0.8);
  });

  it.each([
    [20, 1],
    [21, 0],
  ])('that used %d ms of CPU in a second has been idle for %d s', (cpu, idle) => {
    expect(idleSeconds(after([0, 0, 0], [1000, 0, cpu]))).toBe(idle);
  });

  it('uses as many cores as it uses', () => {
    expect(after([0, 0, 0], [500, 0, 1000]).cpu).toBe(2);
  });

  it('is not known better by two samples of the same moment', () => {
    const first = after([0, 0, 0], [1000, 0, 0]);
    expect(observe(first, { at: 1000, packets: 9, cpuMicroseconds: 9000 })).toBe(first);
  });

  it('begins anew with another environment, whose counters are lower', () => {
    const observation = after([0, 50, 900], [1000, 50, 900], [2000, 50, 3]);
    expect(observation).toMatchObject({ activeAt: 2000, cpu: null });
  });
});

describe('samples', () => {
  it.each([
    [0.1, 50],
    [1, 200],
    [3, 600],
    [30, 1000],
    [86_400, 1000],
  ])('for an idle time of %d s are taken every %d ms', (shortest, interval) => {
    expect(sampleInterval(shortest)).toBe(interval);
  });
});

const snmp = (
  received: number,
): string => `Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams
Ip: 2 64 ${received} 0 0 0
Icmp: InMsgs InErrors InCsumErrors InDestUnreachs
Icmp: 77 0 0 0
IpExt: InNoRoutes InTruncatedPkts InReceives
IpExt: 0 0 999
`;
const snmp6 = (received: number, multicast: number): string => `Ip6InReceives                   \t${received}
Ip6InHdrErrors                  \t0
Ip6InMcastPkts                  \t${multicast}
Ip6OutMcastPkts                 \t4
`;
const dev = (
  loopback: number,
): string => `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
  eth0: 1816      25    0    0    0     0          0         0     1436      19    0    0    0     0       0          0
    lo:${String(loopback * 70).padStart(8)} ${String(loopback).padStart(7)}    0    0    0     0          0         0    26831     397    0    0    0     0       0          0
`;

describe('packets from outside', () => {
  it('are those that reached IP, without those over loopback', () => {
    expect(packetsFromOutside({ snmp: snmp(28_561), snmp6: snmp6(0, 0), dev: dev(397) })).toBe(28_164);
  });

  it('are no more for what a chain tells itself over IPv6', () => {
    const before = packetsFromOutside({ snmp: snmp(40), snmp6: snmp6(0, 0), dev: dev(10) });
    const later = packetsFromOutside({ snmp: snmp(40), snmp6: snmp6(500, 0), dev: dev(510) });
    expect(before).toBe(30);
    expect(later).toBe(30);
  });

  it('are no more for what kernels say to all their neighbours', () => {
    expect(packetsFromOutside({ snmp: snmp(40), snmp6: snmp6(12, 12), dev: dev(10) })).toBe(30);
  });

  it('are counted without IPv6 too, and a loopback that is read later makes none negative', () => {
    expect(packetsFromOutside({ snmp: snmp(40), snmp6: '', dev: dev(10) })).toBe(30);
    expect(packetsFromOutside({ snmp: snmp(40), snmp6: '', dev: dev(41) })).toBe(0);
    expect(packetsFromOutside({ snmp: '', snmp6: '', dev: '' })).toBe(0);
  });
});

describe('datagrams', () => {
  const udp = (values: string, unreachable?: number): string => `Ip: Forwarding
Ip: 2
${unreachable === undefined ? 'IcmpMsg: InType0\nIcmpMsg: 9' : `IcmpMsg: InType0 InType3\nIcmpMsg: 9 ${unreachable}`}
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
Udp: ${values}
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
UdpLite: 99 99 99 99 99
`;

  it('are delivered when they are read, or come faster than they are', () => {
    expect(datagramsIn(udp('5 0 3 40 2')).delivered).toBe(7);
  });

  it('go to closed ports, but for those that an application sends to its own', () => {
    expect(datagramsIn(udp('0 8 0 0 0')).closed).toBe(8);
    expect(datagramsIn(udp('0 8 0 0 0', 8)).closed).toBe(0);
    expect(datagramsIn(udp('0 20 0 0 0', 8)).closed).toBe(12);
  });

  it('are none where nothing is said', () => {
    expect(datagramsIn('')).toEqual({ closed: 0, delivered: 0 });
  });
});
