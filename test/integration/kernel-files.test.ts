/** Mounts and descriptors through the door to the kernel, in a directory of the test's own. Needs root. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/exec/index.ts';
import * as kernel from '../../src/kernel/index.ts';

/** What one of the kernel's refusals looks like to a test. */
const refusal = (call: () => unknown): kernel.KernelError => {
  try {
    call();
  } catch (error) {
    if (error instanceof kernel.KernelError) return error;
    throw error;
  }
  throw new Error('the call was not refused');
};

describe('descriptors over a Unix socket', () => {
  const RECEIVER = [
    'import os, socket, sys',
    's = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])',
    'data, fds, _, _ = socket.recv_fds(s, 1 << 20, 64)',
    'size = len(data)',
    'while chunk := s.recv(1 << 16): size += len(chunk)',
    'print(size, *[os.pread(fd, 9, 0).decode() for fd in fds])',
  ].join('\n');

  test('another process reads what was opened here', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'appshot-kernel-'));
    const server = createServer({ pauseOnConnect: true }).listen(join(directory, 'socket'));
    try {
      await once(server, 'listening');
      const connected = once(server, 'connection') as Promise<[Socket]>;
      const child = run('python3', ['-c', RECEIVER, join(directory, 'socket')], { timeoutMs: 10_000 });
      const [connection] = await connected;
      const fds = ['one', 'two'].map((text) => {
        writeFileSync(join(directory, text), text);
        return kernel.openFd(join(directory, text));
      });
      // More than the socket holds, so that the rest follows without descriptors.
      kernel.sendFds(kernel.socketFd(connection), Buffer.alloc(1 << 20), fds);
      for (const fd of fds) kernel.close(fd);
      connection.end();
      expect((await child).stdout.trim()).toBe(`${1 << 20} one two`);
      connection.destroy();
      expect(() => kernel.socketFd(connection)).toThrow(TypeError);
      expect(() => kernel.sendFds(0, Buffer.alloc(1), [])).toThrow(RangeError);
    } finally {
      server.close();
      rmSync(directory, { recursive: true });
    }
  });
});

describe('mounts', () => {
  const base = mkdtempSync(join(tmpdir(), 'appshot-kernel-'));
  const target = join(base, 'target');
  const directory = (name: string): string => {
    mkdirSync(join(base, name), { recursive: true });
    return join(base, name);
  };
  const onTarget = (fd: number, check: () => void): void => {
    try {
      kernel.moveMount(fd, target);
      check();
    } finally {
      kernel.close(fd);
      kernel.umount(target);
    }
  };

  beforeAll(() => void directory('target'));
  afterAll(() => rmSync(base, { recursive: true }));

  test.each([
    ['one layer', ['plain']],
    ['paths that need escaping', ['a:b', 'c,d', 'e\\f']],
    ['many layers', Array.from({ length: 12 }, (_, place) => `${place}:${'x'.repeat(30)}`)],
  ])('an overlay of %s', (name, lower) => {
    for (const layer of lower) writeFileSync(join(directory(layer), `from ${layer}`), '');
    const upper = directory(`up:${name}`);
    const fd = kernel.overlay({ lower: lower.map(directory), upper, work: directory(`work,${name}`) });
    onTarget(fd, () => {
      expect(readdirSync(target).toSorted()).toEqual(lower.map((layer) => `from ${layer}`).toSorted());
      writeFileSync(join(target, 'new'), '');
    });
    expect(readdirSync(upper)).toEqual(['new']);
  });

  test('an opaque directory hides what lies below it', () => {
    writeFileSync(join(directory('below/sub'), 'hidden'), '');
    kernel.setOpaque(directory('above/sub'));
    const options = {
      lower: [directory('below')],
      upper: directory('above'),
      work: directory('opaque-work'),
    };
    onTarget(kernel.overlay(options), () => expect(readdirSync(join(target, 'sub'))).toEqual([]));
  });

  test('a refused overlay names its options', () => {
    const options = {
      lower: [join(base, 'absent')],
      upper: directory('above'),
      work: directory('opaque-work'),
    };
    const refused = refusal(() => kernel.overlay(options));
    expect(refused).toMatchObject({ errno: 'ENOENT', call: 'fsconfig' });
    expect(refused.message).toContain(`lowerdir=${base}/absent`);
  });

  test('a tmpfs has its size', () => {
    onTarget(kernel.tmpfs({ size: 1 << 20, mode: 0o750 }), () => {
      const { blocks, bsize } = statfsSync(target);
      expect(blocks * bsize).toBe(1 << 20);
    });
  });

  test('a read-only clone shows the tree and refuses writing', () => {
    writeFileSync(join(directory('tree'), 'file'), '');
    onTarget(kernel.cloneTree(directory('tree'), { recursive: true, readOnly: true }), () => {
      expect(readdirSync(target)).toEqual(['file']);
      expect(() => writeFileSync(join(target, 'file'), 'x')).toThrow('EROFS');
    });
    kernel.umount(target);
    expect(refusal(() => kernel.cloneTree(join(base, 'absent'))).message).toContain(`${base}/absent`);
  });

  test('a file system is mounted the old way', () => {
    kernel.mountFilesystem('tmpfs', 'none', target, 0, 'size=4096');
    expect(readdirSync(target)).toEqual([]);
    kernel.umount(target);
    expect(refusal(() => kernel.mountFilesystem('nosuchfs', 'none', target)).errno).toBe('ENODEV');
  });
});
