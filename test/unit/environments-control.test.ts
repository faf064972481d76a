/** The conversation with PID 1, whose side is a server in the test. */
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Control } from '../../src/environments/control.ts';

const temporaryDirectory = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-control-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
};

const frame = (fields: readonly string[], payload = Buffer.alloc(0)): Buffer => {
  const body = Buffer.concat([Buffer.from(fields.map((text) => `${text}\0`).join('')), payload]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
};

/** A control, and the other end of its socket. */
const openControl = async (directory?: string): Promise<{ control: Control; init: Socket }> => {
  const place = directory ?? (await temporaryDirectory());
  const server = createServer();
  // As PID 1 does it: the path alone may be longer than a socket's address can be.
  await using handle = await open(place, 'r');
  server.listen(`/proc/self/fd/${handle.fd}/control`);
  await once(server, 'listening');
  const [control, [init]] = await Promise.all([
    Control.connect(place),
    once(server, 'connection') as Promise<[Socket]>,
  ]);
  onTestFinished(() => {
    control.close();
    init.destroy();
    server.close();
  });
  return { control, init };
};

/** Everything that arrives, until `length` bytes have. */
const receive = async (init: Socket, length: number): Promise<Buffer> => {
  let bytes = Buffer.alloc(0);
  while (bytes.length < length) bytes = Buffer.concat([bytes, ...((await once(init, 'data')) as [Buffer])]);
  return bytes;
};

const failsWith = (reason: string) =>
  expect.objectContaining({
    code: 'ENVIRONMENT_FAILED',
    message: `an environment could not be made: ${reason}`,
  }) as Error;

describe('frames from PID 1', () => {
  it('may come byte by byte', async () => {
    const { control, init } = await openControl();
    const chainEnded = Promise.withResolvers<number>();
    control.on({ chainEnded: chainEnded.resolve });
    for (const byte of Buffer.concat([frame(['hello', 'running', '0']), frame(['chain-ended', '143'])])) {
      init.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    expect(await control.hello.promise).toEqual({ state: 'running', status: 0 });
    expect(await chainEnded.promise).toBe(143);
  });

  it('may come several at once, answers among events', async () => {
    const { control, init } = await openControl();
    const told: unknown[] = [];
    control.on({
      engine: (message) => told.push(message && Buffer.from(message)),
      chainEnded: (status) => told.push(status),
    });
    const calls = [control.call(['last-pid']), control.call(['subreaper', '7']), control.call(['last-pid'])];
    init.write(
      Buffer.concat([
        frame(['hello', 'ready', '0']),
        frame(['ok', '1004']),
        frame(['criu'], Buffer.of(8, 0, 255, 0)),
        frame(['error', 'subreaper', '3']),
        frame(['chain-ended', '0']),
        frame(['criu-ended']),
        frame(['ok', '']),
      ]),
    );
    const [first, second, third] = await Promise.allSettled(calls);
    expect(first).toEqual({ status: 'fulfilled', value: ['ok', '1004'] });
    expect(second).toMatchObject({ status: 'rejected', reason: failsWith('subreaper: ESRCH') });
    expect(third).toEqual({ status: 'fulfilled', value: ['ok', ''] });
    expect(told).toEqual([Buffer.of(8, 0, 255, 0), 0, undefined]);
  });

  it('are cut off at 16 MiB, and the conversation with them', async () => {
    const { control, init } = await openControl();
    const length = Buffer.alloc(4);
    length.writeUInt32LE((16 << 20) + 1);
    const call = control.call(['last-pid']);
    init.write(length);
    await expect(call).rejects.toThrow(failsWith('its first process has ended'));
  });
});

describe('a call', () => {
  it('is one frame of NUL-ended fields, with its payload behind them', async () => {
    const { control, init } = await openControl();
    const call = control.call(['launch', '/bin/ä', '999'], [], Buffer.of(0, 1, 2));
    const expected = frame(['launch', '/bin/ä', '999'], Buffer.of(0, 1, 2));
    expect(await receive(init, expected.length)).toEqual(expected);
    init.write(frame(['ok', '1000']));
    expect(await call).toEqual(['ok', '1000']);
  });

  it('arrives whole when descriptors travel with it', async () => {
    const { control, init } = await openControl();
    await using handle = await open('/dev/null', 'r');
    void control.call(['root', 'web'], [handle.fd, handle.fd]).catch(() => undefined);
    const expected = frame(['root', 'web']);
    expect(await receive(init, expected.length)).toEqual(expected);
  });

  it.each([
    [['error', 'mount', '1'], 'mount: EPERM', { stage: 'mount', errno: 'EPERM' }],
    [['error', 'mount', '0'], 'mount: unknown error', { stage: 'mount', errno: 'unknown error' }],
  ])('that is answered with %j fails: %s', async (answer, reason, details) => {
    const { control, init } = await openControl();
    const call = control.call(['root', 'web']);
    init.write(frame(answer));
    await expect(call).rejects.toThrow(failsWith(reason));
    await expect(call).rejects.toMatchObject({ details });
  });
});

describe('the end of PID 1', () => {
  it('rejects what waits for it, and tells everybody once', async () => {
    const { control, init } = await openControl();
    const told: unknown[] = [];
    const closed = Promise.withResolvers<void>();
    control.on({
      engine: (message) => told.push(['engine', message]),
      closed: () => {
        told.push('closed');
        closed.resolve();
      },
    });
    const calls = Promise.allSettled([control.call(['last-pid']), control.call(['last-pid'])]);
    init.end();
    const ended = failsWith('its first process has ended');
    for (const result of await calls) expect(result).toMatchObject({ status: 'rejected', reason: ended });
    await expect(control.hello.promise).rejects.toThrow(ended);
    await closed.promise;
    expect(told).toEqual([['engine', undefined], 'closed']);
    await expect(control.call(['last-pid'])).rejects.toThrow(failsWith('it has ended'));
  });

  it('is told to handlers that come late, and so is the end of the chain', async () => {
    const { control, init } = await openControl();
    const closed = Promise.withResolvers<void>();
    control.on({ closed: closed.resolve });
    init.end(frame(['hello', 'ended', '3']));
    await closed.promise;
    const late = { chainEnded: vi.fn<(status: number) => void>(), closed: vi.fn<() => void>() };
    control.on(late);
    expect(late.closed).not.toHaveBeenCalled();
    await new Promise(setImmediate);
    expect(late.chainEnded.mock.calls).toEqual([[3]]);
    expect(late.closed).toHaveBeenCalledOnce();
  });

  it('is told once to a handler that comes while the socket closes', async () => {
    const { control } = await openControl();
    const closed = vi.fn<() => void>();
    control.close();
    control.on({ closed });
    await vi.waitFor(() => expect(closed).toHaveBeenCalled());
    await new Promise(setImmediate);
    expect(closed).toHaveBeenCalledOnce();
  });

  it('leaves the handlers that are not given as they are', async () => {
    const { control, init } = await openControl();
    const chainEnded = Promise.withResolvers<number>();
    control.on({ chainEnded: chainEnded.resolve });
    control.on({ engine: () => undefined });
    init.write(frame(['chain-ended', '5']));
    expect(await chainEnded.promise).toBe(5);
  });
});

describe('connecting', () => {
  it('works however long the path of the directory is', async () => {
    const directory = join(await temporaryDirectory(), 'd'.repeat(120), 'e'.repeat(120));
    await mkdir(directory, { recursive: true });
    const { control, init } = await openControl(directory);
    init.write(frame(['hello', 'ready', '0']));
    expect(await control.hello.promise).toEqual({ state: 'ready', status: 0 });
  });

  it('fails where nobody listens', async () => {
    await expect(Control.connect(await temporaryDirectory())).rejects.toThrow(
      failsWith('its control socket does not answer'),
    );
  });
});
