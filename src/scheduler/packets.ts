/** How many IPv4 packets an application has received from outside, from its namespace's counters. Pure. */

/** `InReceives` of /proc/PID/net/snmp: what reached the IP layer, so not the ARP questions for others. */
const received = (snmp: string): number => {
  const [names = '', values = ''] = snmp.split('\n').filter((line) => line.startsWith('Ip:'));
  const column = names.split(/\s+/).indexOf('InReceives');
  return Number(values.split(/\s+/)[column] ?? 0);
};

/** Packets received by an interface, of /proc/PID/net/dev. */
const receivedBy = (dev: string, name: string): number => {
  const line = dev.split('\n').find((one) => one.trimStart().startsWith(`${name}:`)) ?? '';
  return Number(
    line
      .slice(line.indexOf(':') + 1)
      .trim()
      .split(/\s+/)[1] ?? 0,
  );
};

/** Both texts from the same moment; a chain's talk with itself over loopback does not count. */
export const packetsFromOutside = (snmp: string, dev: string): number =>
  Math.max(0, received(snmp) - receivedBy(dev, 'lo'));
