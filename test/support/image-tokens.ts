/** A place that gives tokens for docker-registry, which believes those of one certificate. */
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/exec/index.ts';

export interface Tokens {
  /** The registry's section `auth`. */
  readonly auth: (directory: string) => object;
  readonly files: Readonly<Record<string, string>>;
  /** That were asked for. */
  readonly scopes: string[];
  [Symbol.asyncDispose](): Promise<void>;
}

interface Issuer {
  readonly key: string;
  readonly certificate: string;
}

const makeIssuer = async (): Promise<Issuer> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-tokens-'));
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await run('openssl', ['req', '-x509', ...kind, '-subj', '/CN=tokens', '-keyout', key, '-out', certificate]);
  const issuer = { key: await readFile(key, 'utf8'), certificate: await readFile(certificate, 'utf8') };
  await rm(directory, { recursive: true });
  return issuer;
};

/** A JSON Web Token that grants a scope such as `repository:shop/app:pull,push`. */
const tokenFor = ({ key, certificate }: Issuer, scope: string): string => {
  const [type, name, actions = ''] = scope.split(':');
  const now = Math.floor(Date.now() / 1000);
  const x5c = [certificate.replace(/-----[A-Z ]+-----|\s/g, '')];
  const claims = {
    ...{ iss: 'tokens', sub: 'ali', aud: 'images', jti: randomUUID() },
    ...{ iat: now, nbf: now - 60, exp: now + 60 },
    access: [{ type, name, actions: actions.split(',') }],
  };
  const text = [{ typ: 'JWT', alg: 'ES256', x5c }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signer = { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' as const };
  return `${text}.${sign('sha256', Buffer.from(text), signer).toString('base64url')}`;
};

/** Starts one on loopback that gives tokens to one user only. */
export const startTokens = async (user: { username: string; password: string }): Promise<Tokens> => {
  const issuer = await makeIssuer();
  const scopes: string[] = [];
  const expected = `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
  const server = createServer((request, response) => {
    const scope = new URL(request.url ?? '', 'http://tokens').searchParams.get('scope') ?? '';
    if (request.headers.authorization !== expected) return void response.writeHead(401).end();
    scopes.push(scope);
    response.end(JSON.stringify({ token: tokenFor(issuer, scope) }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return {
    auth: (directory) => ({
      token: { realm, service: 'images', issuer: 'tokens', rootcertbundle: join(directory, 'issuer.pem') },
    }),
    files: { 'issuer.pem': issuer.certificate },
    scopes,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};
