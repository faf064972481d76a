/** What an application has received, from its namespace's counters. Pure. */

/** What /proc/PID/net/NAME says. */
export interface Counters {
  readonly snmp: string;
  /** Empty where the kernel has no IPv6. */
  readonly snmp6: string;
  readonly dev: string;
}

/** What /proc/PID/net/snmp says of a protocol under one of its names; 0 when it does not know the name. */
const reader = (snmp: string, protocol: string): ((name: string) => number) => {
  const [names = '', values = ''] = snmp.split('\n').filter((line) => line.startsWith(`${protocol}:`));
  const [columns, numbers] = [names.split(' '), values.split(' ')];
  return (name) => Number(numbers[columns.indexOf(name)] ?? 0);
};

export interface Datagrams {
  /** To ports at which nobody listens, from outside. */
  readonly closed: number;
  /** To ports at which somebody does, from anywhere, as they are read. */
  readonly delivered: number;
}

/** UDP over IPv4. */
export const datagramsIn = (snmp: string): Datagrams => {
  const [udp, icmp] = [reader(snmp, 'Udp'), reader(snmp, 'IcmpMsg')];
  // Each one that the application sends to a closed port of its own comes back to it as ICMP "unreachable".
  return {
    closed: udp('NoPorts') - icmp('InType3'),
    delivered: udp('InDatagrams') + udp('RcvbufErrors'),
  };
};

/** The same of IPv6, without what its neighbours' kernels say to everybody. */
const received6 = (snmp6: string): number => {
  const counter = (name: string): number =>
    Number(new RegExp(`^${name}\\s+(\\d+)$`, 'm').exec(snmp6)?.[1] ?? 0);
  return counter('Ip6InReceives') - counter('Ip6InMcastPkts');
};

/** Packets received by an interface. */
const receivedBy = (dev: string, name: string): number => {
  const line = dev.split('\n').find((one) => one.trimStart().startsWith(`${name}:`)) ?? '';
  return Number(
    line
      .slice(line.indexOf(':') + 1)
      .trim()
      .split(/\s+/)[1] ?? 0,
  );
};

/** A chain's talk with itself over loopback, which is of both kinds, does not count. */
export const packetsFromOutside = ({ snmp, snmp6, dev }: Counters): number =>
  Math.max(0, reader(snmp, 'Ip')('InReceives') + received6(snmp6) - receivedBy(dev, 'lo'));
