/** The options of the daemon that say where its web gateway listens. */
import { isIP, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { AppShotError } from '../common/index.ts';
import { parseWith } from './numbers.ts';

interface Listen {
  readonly address?: string;
  readonly port: number;
}

export interface WebOptions {
  readonly http?: Listen;
  readonly https?: Listen;
  readonly certificates?: string;
  readonly redirect?: boolean;
}

/**
 * `[ADDRESS:]PORT`; an IPv6 address is in brackets. 0.0.0.0 stands for all addresses, as leaving it out does.
 *
 * @throws Error with the reason
 */
const readListen = (text: string): Listen => {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]:|([^:]*):)?(\d{1,5})$/.exec(text) ?? [];
  const [address, port] = [bracketed ?? plain, Number(digits)];
  const isAddress = address === undefined || (bracketed === undefined ? isIP(address) > 0 : isIPv6(address));
  if (!isAddress || !(port >= 1 && port <= 65_535))
    throw new Error(`'${text}' is not [ADDRESS:]PORT, such as 80 or 127.0.0.1:8080`);
  return address === undefined || address === '0.0.0.0' ? { port } : { address, port };
};

export const addWebOptions = (command: Command): Command =>
  command
    .option('--http <[address:]port>', 'serve the sites of applications there', parseWith(readListen))
    .option('--https <[address:]port>', 'serve them there, encrypted', parseWith(readListen))
    .option('--certificates <dir>', 'certificates for --https: PEM files with chain and key')
    .option('--redirect', 'send browsers from --http on to --https');

const fault = ({ http, https, certificates, redirect }: WebOptions): string | undefined => {
  if (https && certificates === undefined) return '--https needs --certificates';
  if (!https && certificates !== undefined) return '--certificates needs --https';
  if (redirect && !(http && https)) return '--redirect needs --http and --https';
  return undefined;
};

/** Undefined when no gateway is wanted. Fails with `USAGE` for options that do not fit together. */
export const toWeb = (options: WebOptions): WebOptions | undefined => {
  const reason = fault(options);
  if (reason !== undefined) throw new AppShotError('USAGE', { reason });
  const { certificates, ...rest } = options;
  if (!rest.http && !rest.https) return undefined;
  return { ...rest, ...(certificates !== undefined && { certificates: resolve(certificates) }) };
};
