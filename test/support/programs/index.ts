/** Every real program of the integration tests, the quick ones first. */
import { chain } from './chain.ts';
import { daemoniser } from './daemoniser.ts';
import { etcd } from './etcd.ts';
import { jvm } from './jvm.ts';
import { kitchen } from './kitchen.ts';
import { nginx } from './nginx.ts';
import { node } from './node.ts';
import { postgres } from './postgres.ts';
import type { Program } from './program.ts';
import { redis } from './redis.ts';
import { systemV } from './system-v.ts';
import { terminal } from './terminal.ts';
import { threads } from './threads.ts';

export const PROGRAMS: readonly Program[] = [
  node,
  redis,
  nginx,
  chain,
  threads,
  systemV,
  daemoniser,
  terminal,
  kitchen,
  jvm,
  etcd,
  postgres,
];
