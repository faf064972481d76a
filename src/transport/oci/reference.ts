/** References to what an image registry holds: `HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`, as container tools write them. */
import { AppShotError } from '../../common/index.ts';

export interface Reference {
  /** As it was written. */
  readonly text: string;
  /** Host and port. */
  readonly host: string;
  readonly name: string;
  /** `latest` when neither a tag nor a digest was given. */
  readonly tag: string | null;
  /** `sha256:…`; it decides when both are given. */
  readonly digest: string | null;
}

const HOST = /^(?:localhost|\[[0-9a-fA-F:]+\]|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*)(?::\d{1,5})?$/;
const NAME = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Throws BAD_REFERENCE. */
export const parseReference = (text: string): Reference => {
  const refuse = (reason: string): AppShotError => new AppShotError('BAD_REFERENCE', { ref: text, reason });
  const slash = text.indexOf('/');
  const host = text.slice(0, Math.max(slash, 0));
  // Without a dot or a port, the first word is part of a name in every container tool, and no default host is assumed here.
  if (!HOST.test(host) || !(/[.:]/.test(host) || host === 'localhost'))
    throw refuse('it does not begin with a host');
  const [path = '', digest, more] = text.slice(slash + 1).split('@');
  if (more !== undefined || (digest !== undefined && !DIGEST.test(digest)))
    throw refuse('its digest is not sha256: and 64 hexadecimal digits');
  const colon = path.indexOf(':');
  const name = colon < 0 ? path : path.slice(0, colon);
  if (name.length > 255 || !NAME.test(name)) throw refuse('its name is not lower-case words and slashes');
  const tag = colon < 0 ? undefined : path.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag))
    throw refuse('its tag is not 1 to 128 letters, digits, dots, hyphens');
  return {
    text,
    host,
    name,
    tag: tag ?? (digest === undefined ? 'latest' : null),
    digest: digest ?? null,
  };
};

/** Whether a host is this machine itself, so that nothing on the way needs to be kept out. */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host);
