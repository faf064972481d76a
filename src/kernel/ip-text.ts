/** IP and hardware addresses between text and the kernel's bytes (network order). Pure. */
import { SocketAddress, isIPv4 } from 'node:net';

/** Four bytes; throws a RangeError for anything but dotted decimal. */
export const encodeIpv4 = (address: string): Buffer => {
  if (!isIPv4(address)) throw new RangeError(`not an IPv4 address: ${address}`);
  return Buffer.from(address.split('.').map(Number));
};

export const decodeIpv4 = (bytes: Uint8Array): string => bytes.subarray(0, 4).join('.');

/** Text of 16 bytes; an IPv4-mapped address (::ffff:a.b.c.d) is given as IPv4. */
export const decodeIpv6 = (bytes: Buffer): string => {
  const mapped =
    bytes.readUInt32BE(0) === 0 && bytes.readUInt32BE(4) === 0 && bytes.readUInt32BE(8) === 0xffff;
  if (mapped) return decodeIpv4(bytes.subarray(12));
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(group * 2).toString(16));
  return new SocketAddress({ family: 'ipv6', address: groups.join(':') }).address;
};

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** Six bytes; throws a RangeError for anything but six hexadecimal pairs with colons. */
export const encodeMac = (mac: string): Buffer => {
  if (!MAC.test(mac)) throw new RangeError(`not a hardware address: ${mac}`);
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
};

export const decodeMac = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, '0')).join(':');
