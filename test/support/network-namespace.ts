/**
 * A network namespace of a test run's own: loopback alone, no default route, so nothing sent in it can get out.
 *
 * The test process stays where it is. Its client sockets are made inside by a custom `lookup`: Node calls it right before
 * libuv makes the socket, in the same turn, so a switch of the thread's namespace around its answer is enough; a socket
 * belongs to the namespace it was made in. Real clients are started inside by nsenter (not `ip netns exec`, which would
 * mount another /sys).
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import type { LookupFunction, Socket } from 'node:net';
import { once } from 'node:events';
import { run } from '../../src/exec/index.ts';
import { withNetworkNamespace } from '../../src/kernel/index.ts';

/** Sets an address apart from names that Node would not look up. */
const SUFFIX = '.lab';

/** The parts of `net.connect` and `http.request` options that make the connection inside. */
export interface Inside {
  readonly host: string;
  readonly port: number;
  readonly family: 4;
  readonly autoSelectFamily: false;
  readonly lookup: LookupFunction;
}

export interface NetworkNamespace {
  readonly name: string;
  readonly path: string;
  /** Inode number, as in `/proc/PID/ns/net`. */
  readonly inode: number;
  inside(address: string, port: number): Inside;
  /** An established connection, made inside. Rejects as `net.connect` fails. */
  connect(address: string, port: number): Promise<Socket>;
  /** Gives the descriptor back; the namespace itself stays, with its name. */
  close(): void;
}

export const makeNetworkNamespace = async (name: string): Promise<NetworkNamespace> => {
  await run('ip', ['netns', 'add', name]);
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  const path = `/run/netns/${name}`;
  const fd = openSync(path, 'r');
  const lookup: LookupFunction = (host, _options, answer) =>
    withNetworkNamespace(fd, () => answer(null, host.slice(0, -SUFFIX.length), 4));
  const inside = (address: string, port: number): Inside => ({
    host: address + SUFFIX,
    port,
    family: 4,
    autoSelectFamily: false,
    lookup,
  });
  return {
    name,
    path,
    inode: statSync(path).ino,
    inside,
    connect: async (address, port) => {
      const socket = connect(inside(address, port));
      await once(socket, 'connect');
      return socket;
    },
    close: () => closeSync(fd),
  };
};
