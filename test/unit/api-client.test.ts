/** The client against a server that answers over a real Unix socket. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { VERSION, VERSION_HEADER } from '../../src/api/index.ts';
import type { AppEvent, AppView } from '../../src/api/index.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const web: AppView = {
  aid: '01J',
  name: 'web',
  state: 'running',
  address: '10.10.0.2',
  hostname: 'web',
  createdAt: '2026-01-01T00:00:00Z',
  since: '2026-01-01T00:00:00Z',
  memory: null,
};

let directory = '';
let server: Server | undefined;

const serve = async (handler: Handler, version = VERSION): Promise<Client> => {
  server = createServer((request, response) => {
    response.setHeader(VERSION_HEADER, version);
    handler(request, response);
  });
  await new Promise<void>((resolve) => server?.listen(join(directory, 'appshot.sock'), resolve));
  return new Client(directory);
};

const answer =
  (value: unknown, status = 200): Handler =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'appshot-client-'));
});

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
  await rm(directory, { recursive: true });
});

describe('the client', () => {
  it('asks for what the API calls it', async () => {
    const asked: string[] = [];
    const client = await serve((request, response) => {
      void text(request).then((body) => {
        asked.push(`${request.method} ${request.url} ${body}`.trim());
        response.end('{}');
      });
    });
    await client.apps();
    await client.apps({ all: true });
    await client.inspect('web');
    await client.sleep('web');
    await client.wake('01J');
    await client.wake('01J', { memory: 'copy' });
    await client.stop('web', { timeout: 3 });
    await client.remove('web', { force: true });
    for await (const _ of client.logs('web', { tail: 5, follow: true, process: 'a b' }));
    expect(asked).toEqual([
      'GET /v1/apps',
      'GET /v1/apps?all=true',
      'GET /v1/apps/web',
      'POST /v1/apps/web/sleep',
      'POST /v1/apps/01J/wake {}',
      'POST /v1/apps/01J/wake {"memory":"copy"}',
      'POST /v1/apps/web/stop {"timeout":3}',
      'DELETE /v1/apps/web?force=true',
      'GET /v1/apps/web/logs?tail=5&follow=true&process=a+b',
    ]);
  });

  it('asks for the past, and for what travels', async () => {
    const asked: string[] = [];
    const client = await serve((request, response) => {
      void text(request).then((body) => {
        asked.push(`${request.method} ${request.url} ${body}`.trim());
        response.end('{}');
      });
    });
    await client.takeSnapshot('web', { ttl: 60 });
    await client.history('web');
    await client.diff('web', { from: '01A' });
    await client.diff('web', { from: '01A', to: '01B' });
    await client.rewind('web', { snapshot: '01A' });
    await client.fork('web', { name: 'then' });
    await client.pin('01A', false);
    await client.removeSnapshot('01A');
    await client.gc({ dryRun: true });
    await client.export('web', { file: '/x', snapshot: '01A' });
    await client.push('web', { ref: 'r/x', plainHttp: true });
    await client.import({ file: '/x', force: false });
    await client.pull({ ref: 'r/x', plainHttp: false, force: true });
    expect(asked).toEqual([
      'POST /v1/apps/web/snapshots {"ttl":60}',
      'GET /v1/apps/web/snapshots',
      'GET /v1/apps/web/diff?from=01A',
      'GET /v1/apps/web/diff?from=01A&to=01B',
      'POST /v1/apps/web/rewind {"snapshot":"01A"}',
      'POST /v1/apps/web/fork {"name":"then"}',
      'PATCH /v1/snapshots/01A {"pinned":false}',
      'DELETE /v1/snapshots/01A',
      'POST /v1/gc {"dryRun":true}',
      'POST /v1/apps/web/export {"file":"/x","snapshot":"01A"}',
      'POST /v1/apps/web/push {"ref":"r/x","plainHttp":true}',
      'POST /v1/import {"file":"/x","force":false}',
      'POST /v1/pull {"ref":"r/x","plainHttp":false,"force":true}',
    ]);
  });

  it.each(['', '..', 'a/b', '01A?force', 'x'.repeat(27)])(
    'sends no request for the snapshot %j',
    async (id) => {
      const client = new Client(directory);
      await expect(client.pin(id, true)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
      await expect(client.removeSnapshot(id)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    },
  );

  it.each(['', '..', 'a/b', 'a?b', '%2e', 'x'.repeat(65), 'a\n'])('sends no request for %j', async (name) => {
    const client = new Client(directory);
    await expect(client.inspect(name)).rejects.toMatchObject({ code: 'APP_NOT_FOUND' });
  });

  it('gives an error of the daemon in its own words', async () => {
    const error = { code: 'NAME_TAKEN', message: 'taken', hint: 'choose', details: { aid: '01J' } };
    const client = await serve(answer({ error }, 409));
    const failure: unknown = await client.inspect('web').catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ ...error, name: 'AppShotError', spec: { status: 409, exit: 1 } });
  });

  it.each([
    [400, 2, 'mistake'],
    [404, 1, 'mistake'],
    [500, 1, 'fault'],
  ])('bears an error that it does not know, with status %i', async (status, exit, kind) => {
    const client = await serve(answer({ error: { code: 'LATER', message: 'm', hint: 'h' } }, status));
    await expect(client.inspect('web')).rejects.toMatchObject({
      code: 'LATER',
      message: 'm',
      spec: { exit, kind },
    });
  });

  it.each(['', 'null', '[]', '<html>', '{"error":7}', '{"error":{"code":1}}'])(
    'bears the error body %j',
    async (body) => {
      const client = await serve((_, response) => response.writeHead(502).end(body));
      await expect(client.version()).rejects.toMatchObject({
        code: 'INTERNAL',
        message: expect.any(String) as string,
      });
    },
  );

  it('checks the answers of a daemon of another version', async () => {
    const client = await serve(answer([web, { ...web, state: 'dreaming' }]), '9.0.0');
    await expect(client.apps()).rejects.toMatchObject({
      code: 'BAD_ANSWER',
      message: expect.stringContaining('version 9.0.0') as string,
      details: { reason: expect.stringMatching(/^1\.state: /) as string },
    });
  });

  it('takes good answers of a daemon of another version', async () => {
    const client = await serve(answer([web]), '9.0.0');
    await expect(client.apps()).resolves.toEqual([web]);
  });

  it('refuses what is not JSON', async () => {
    const client = await serve((_, response) => response.end('<html>'));
    await expect(client.apps()).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });
});

describe('the client without a daemon', () => {
  it('says that there is none where there is no socket', async () => {
    const path = join(directory, 'appshot.sock');
    await expect(new Client(directory).apps()).rejects.toMatchObject({
      code: 'NO_DAEMON',
      details: { path },
    });
  });

  it('says that there is none where nobody listens', async () => {
    await writeFile(join(directory, 'appshot.sock'), '');
    await expect(new Client(directory).apps()).rejects.toMatchObject({ code: 'NO_DAEMON' });
    await expect(new Client(join(directory, 'x'.repeat(200))).apps()).rejects.toMatchObject({
      code: 'NO_DAEMON',
    });
  });

  it('says that it may not use the socket', async () => {
    const client = await serve(answer([]));
    await chmod(join(directory, 'appshot.sock'), 0);
    const user = process.geteuid?.() ?? 0;
    // Root may use any socket; nobody may not.
    if (user === 0) process.seteuid?.(65534);
    const refused = client.apps().finally(() => process.seteuid?.(user));
    await expect(refused).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('says that it ended, before and within an answer', async () => {
    const before = await serve((request) => request.socket.destroy());
    await expect(before.sleep('web')).rejects.toMatchObject({ code: 'DAEMON_LOST' });
    server?.removeAllListeners('request').on('request', (_: IncomingMessage, response: ServerResponse) => {
      response.write('[');
      setImmediate(() => response.socket?.destroy());
    });
    await expect(before.apps()).rejects.toMatchObject({ code: 'DAEMON_LOST' });
  });

  it('stops waiting when it is told to', async () => {
    const end = new AbortController();
    const client = await serve(() => end.abort());
    await expect(client.sleep('web', { signal: end.signal })).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('a stream', () => {
  const collect = async <T>(stream: AsyncIterable<T>): Promise<T[]> => {
    const values: T[] = [];
    for await (const value of stream) values.push(value);
    return values;
  };

  it('gives each line once it is whole, wherever it was cut', async () => {
    const events: AppEvent[] = [1, 2, 3].map((id) => ({ id, at: 'now', type: 'running', name: 'wéb' }));
    const bytes = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    const client = await serve((_, response) => {
      response.flushHeaders();
      for (const byte of bytes) response.write(Buffer.of(byte));
      response.end();
    });
    await expect(collect(client.events())).resolves.toEqual(events);
  });

  it('ends with the error in its last line', async () => {
    const client = await serve((_, response) => {
      response.write('{"process":"web","stream":"stdout","text":"a"}\n');
      response.end('{"error":{"code":"APP_NOT_FOUND","message":"gone","hint":"h"}}\n');
    });
    const seen: string[] = [];
    const read = async () => {
      for await (const line of client.logs('web')) seen.push(line.text);
    };
    await expect(read()).rejects.toMatchObject({ code: 'APP_NOT_FOUND', message: 'gone' });
    expect(seen).toEqual(['a']);
  });

  it('closes the connection when its reader leaves', async () => {
    let closed: Promise<void> | undefined;
    const client = await serve((_, response) => {
      closed = new Promise((resolve) => response.once('close', resolve));
      response.write('{"id":1,"at":"now","type":"x"}\n');
    });
    for await (const event of client.events({ follow: true })) {
      expect(event.id).toBe(1);
      break;
    }
    await closed;
  });
});
