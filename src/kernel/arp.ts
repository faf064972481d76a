/** ARP requests for IPv4 over Ethernet (RFC 826), from frames as an AF_PACKET socket gives and takes them. Pure. */
import { decodeIpv4, decodeMac, encodeIpv4, encodeMac } from './ip-text.ts';

export const ETH_P_ARP = 0x0806;
const ETHERNET_IPV4 = Buffer.from([0x00, 0x01, 0x08, 0x00, 0x06, 0x04]);
const REQUEST = 1;
const ETHERNET_HEADER = 14;
/** Of the frame, without padding. */
export const REQUEST_SIZE = ETHERNET_HEADER + 28;
const BROADCAST = Buffer.alloc(6, 0xff);

/** Who has `targetAddress`? Tell `sourceAddress`. */
export interface ArpRequest {
  readonly sourceMac: string;
  /** `0.0.0.0` when the sender only checks that the address is free. */
  readonly sourceAddress: string;
  readonly targetAddress: string;
}

/** The request in a frame; undefined for replies and for whatever is not ARP for IPv4 over Ethernet. */
export const decodeArpRequest = (frame: Buffer): ArpRequest | undefined => {
  if (frame.length < REQUEST_SIZE || frame.readUInt16BE(12) !== ETH_P_ARP) return undefined;
  const packet = frame.subarray(ETHERNET_HEADER);
  if (!packet.subarray(0, 6).equals(ETHERNET_IPV4) || packet.readUInt16BE(6) !== REQUEST) return undefined;
  return {
    sourceMac: decodeMac(packet.subarray(8)),
    sourceAddress: decodeIpv4(packet.subarray(14)),
    targetAddress: decodeIpv4(packet.subarray(24)),
  };
};

/** A broadcast frame with the request. With source and target address alike it announces the address (gratuitous ARP). */
export const encodeArpRequest = ({ sourceMac, sourceAddress, targetAddress }: ArpRequest): Buffer => {
  const mac = encodeMac(sourceMac);
  const header = Buffer.concat([BROADCAST, mac, Buffer.from([ETH_P_ARP >> 8, ETH_P_ARP & 0xff])]);
  const addresses = [mac, encodeIpv4(sourceAddress), Buffer.alloc(6), encodeIpv4(targetAddress)];
  return Buffer.concat([header, ETHERNET_IPV4, Buffer.from([0, REQUEST]), ...addresses]);
};
