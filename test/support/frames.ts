/** Ethernet frames as hexadecimal digits, well formed or not, for tests that send what no kernel would. */

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

const mac = (text: string): string => text.replaceAll(':', '');
const ip = (text: string): string => Buffer.from(text.split('.').map(Number)).toString('hex');
const u16 = (value: number): string => value.toString(16).padStart(4, '0');
const MINIMUM_DIGITS = 2 * 60;

export const ethernet = (to: string, from: string, type: number, body: string): string =>
  (mac(to) + mac(from) + u16(type) + body).padEnd(MINIMUM_DIGITS, '0');

/** The Internet checksum (RFC 1071) of an even number of bytes. */
const checksum = (hex: string): string => {
  let sum = 0;
  for (const word of hex.match(/.{4}/g) ?? []) sum += Number.parseInt(word, 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return u16(~sum & 0xffff);
};

/** An IPv4 packet. `payload` is hexadecimal, of whole 16-bit words. */
const ipv4 = (from: string, to: string, protocol: number, payload: string): string => {
  const head = `4500${u16(20 + payload.length / 2)}0000000040${protocol.toString(16).padStart(2, '0')}`;
  return `${head}${checksum(`${head}0000${ip(from)}${ip(to)}`)}${ip(from)}${ip(to)}${payload}`;
};

/** A UDP packet without a checksum, to the port 4000. `data` is hexadecimal, of whole 16-bit words. */
export const udp = (from: string, to: string, data: string): string =>
  ipv4(from, to, 17, `0fa00fa0${u16(8 + data.length / 2)}0000${data}`);

/** A TCP segment without options and data. */
export const tcp = (from: string, to: string, ports: readonly [number, number], flags: number): string => {
  const head = `${u16(ports[0])}${u16(ports[1])}0000000100000001${u16(0x5000 | flags)}0400`;
  const pseudo = `${ip(from)}${ip(to)}${u16(6)}${u16(20)}`;
  return ipv4(from, to, 6, `${head}${checksum(`${pseudo}${head}00000000`)}0000`);
};

/** What a ping of this number and its answer hold. */
export const pingMark = (number: number): string => `a59c${u16(number)}`;

/** An ICMP echo request. */
export const ping = (from: string, to: string, number: number): string =>
  ipv4(from, to, 1, `0800${checksum(`08000000${pingMark(number)}`)}${pingMark(number)}`);

export interface ArpEnd {
  readonly mac: string;
  readonly address: string;
}

/** ARP for IPv4 over Ethernet; `types` are the hardware's and the protocol's with their lengths. */
export const arp = (
  operation: 'request' | 'reply',
  sender: ArpEnd,
  target: ArpEnd,
  types = '000108000604',
): string =>
  types +
  (operation === 'request' ? '0001' : '0002') +
  [sender, target].map((end) => mac(end.mac) + ip(end.address)).join('');
