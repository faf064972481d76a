/**
 * Who we are to an image registry: nobody, a user by name and password (Basic), or the bearer of a token that the place named in
 * the registry's challenge gives for those. A challenge may come at any time, since tokens expire and are for one scope.
 */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Credentials } from './credentials.ts';
import { exchange, smallBody } from './http.ts';

const TOKEN_LIMIT = 1 << 20;

const tokenSchema = z.object({ token: z.string().optional(), access_token: z.string().optional() });

const basic = ({ username, password }: Credentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

/** The address that gives a token, from a challenge such as `Bearer realm="https://…",service="…",scope="…"`. */
const tokenAddress = (challenge: string): URL | undefined => {
  const fields = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
  const realm = fields.get('realm');
  if (realm === undefined || !URL.canParse(realm)) return undefined;
  const url = new URL(realm);
  for (const key of ['service', 'scope']) {
    const value = fields.get(key);
    if (value !== undefined) url.searchParams.set(key, value);
  }
  return url;
};

const fetchToken = async (
  url: URL,
  credentials: Credentials | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> => {
  const headers = credentials === undefined ? {} : { authorization: basic(credentials) };
  const answer = await exchange({ method: 'GET', url, headers, signal });
  const body = await smallBody(answer, TOKEN_LIMIT);
  if (answer.statusCode !== 200 || body === undefined) return undefined;
  try {
    const { token, access_token: accessToken } = tokenSchema.parse(JSON.parse(body.toString('utf8')));
    return token ?? accessToken;
  } catch {
    return undefined;
  }
};

/**
 * The Authorization header that answers a challenge; undefined when there is none. Nothing is sent without TLS to a place that a
 * registry with TLS names.
 */
export const answerChallenge = async (
  answer: IncomingMessage,
  credentials: Credentials | undefined,
  plainHttp: boolean,
  signal?: AbortSignal,
): Promise<string | undefined> => {
  const challenge = answer.headers['www-authenticate'] ?? '';
  if (/^basic\b/i.test(challenge)) return credentials && basic(credentials);
  const url = /^bearer\b/i.test(challenge) ? tokenAddress(challenge) : undefined;
  if (url === undefined || !(url.protocol === 'https:' || (plainHttp && url.protocol === 'http:')))
    return undefined;
  const token = await fetchToken(url, credentials, signal);
  return token === undefined ? undefined : `Bearer ${token}`;
};
