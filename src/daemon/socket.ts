/** The daemon's Unix socket: usable by root, and by one group. Rights are those of the file. */
import { chmodSync, chownSync, closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { AppShotError } from '../common/index.ts';

export const SOCKET_NAME = 'appshot.sock';

const groupId = (name: string): number => {
  const row = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([group, , id]) => group === name || id === name);
  if (row?.[2] !== undefined) return Number(row[2]);
  throw new AppShotError('USAGE', { reason: `there is no group ${name}` });
};

/** Listens in `directory`; a path longer than a socket address may be is reached through the directory's descriptor. */
export const listenAt = async (
  directory: string,
  group: string | undefined,
  fetch: (request: Request) => Response | Promise<Response>,
): Promise<Server> => {
  const path = join(directory, SOCKET_NAME);
  const gid = group === undefined ? 0 : groupId(group);
  rmSync(path, { force: true });
  const listener = getRequestListener(fetch);
  const server = createServer((request, response) => void listener(request, response));
  const fd = openSync(directory, 'r');
  const before = process.umask(0o177);
  try {
    server.listen(`/proc/self/fd/${fd}/${SOCKET_NAME}`);
    await once(server, 'listening');
  } finally {
    process.umask(before);
    closeSync(fd);
  }
  chownSync(path, 0, gid);
  chmodSync(path, group === undefined ? 0o600 : 0o660);
  return server;
};
