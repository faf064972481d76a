/** How many packets an application has received from outside, from its namespace's counters. Pure. */

/** What /proc/PID/net/NAME says, all from the same moment. */
export interface Counters {
  readonly snmp: string;
  /** Empty where the kernel has no IPv6. */
  readonly snmp6: string;
  readonly dev: string;
}

/** `InReceives` of snmp: what reached the IPv4 layer, so not the ARP questions for others. */
const received = (snmp: string): number => {
  const [names = '', values = ''] = snmp.split('\n').filter((line) => line.startsWith('Ip:'));
  const column = names.split(/\s+/).indexOf('InReceives');
  return Number(values.split(/\s+/)[column] ?? 0);
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
  Math.max(0, received(snmp) + received6(snmp6) - receivedBy(dev, 'lo'));
