/**
 * Certificates are looked at before HAProxy is: its own words about a bad one are many lines. The directory is read as HAProxy reads it:
 * every file but hidden ones and those that belong to another (`.key`, `.ocsp`, ...).
 */
import { X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppShotError } from '../common/index.ts';

const BESIDE = /\.(?:key|ocsp|issuer|sctl)$/;

const faultOf = (pem: string): string | undefined => {
  try {
    const certificate = new X509Certificate(pem);
    return certificate.checkPrivateKey(createPrivateKey(pem))
      ? undefined
      : 'the key in it is not that of its certificate';
  } catch (error) {
    return `it holds no certificate with its key in PEM (${error instanceof Error ? error.message : String(error)})`;
  }
};

const readOrEmpty = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

const refuse = (path: string, reason: string): never => {
  throw new AppShotError('BAD_CERTIFICATE', { path, reason });
};

/**
 * Returns what changes when any certificate of the directory does. Throws `BAD_CERTIFICATE` for one that is unusable, and when there is
 * none. One that has run out is served: browsers say so better than a gateway that is not there.
 */
export const certificatesState = async (directory: string): Promise<string> => {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) =>
    refuse(directory, error instanceof Error ? error.message : String(error)),
  );
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const own = names.filter((name) => !name.startsWith('.') && !BESIDE.test(name)).toSorted();
  if (own.length === 0) refuse(directory, 'there is no PEM file in it');
  const state = createHash('sha256');
  for (const name of own) {
    const path = join(directory, name);
    const pem = (await readOrEmpty(path)) + (await readOrEmpty(`${path}.key`));
    const fault = faultOf(pem);
    if (fault !== undefined) refuse(path, fault);
    state.update(`${name}\0${pem}\0`);
  }
  return state.digest('hex');
};
