import { findNearest } from '../../common/index.ts';

/** Keys of a Compose file that mean something else here, or nothing. */
const COMPOSE: Readonly<Record<string, string>> = {
  build: 'programs come from this machine; nothing is built',
  cap_add: 'write capabilities: {add: [...]}',
  cap_drop: 'write capabilities: {drop: [...]}',
  deploy: 'write policy: {instances: {min: ..., max: ...}}, and limits: {...}',
  depends_on: 'processes start in the order in which they are written',
  entrypoint: 'write the whole command in command',
  expose: 'every application has an address of its own; every port is reachable there',
  image: 'programs come from this machine; there is no image',
  mem_limit: 'write limits: {memory: ...}',
  mode: 'ports of this machine lead to every instance',
  network_mode: 'every application has an address of its own; name its network in network',
  networks: 'the processes of an application share one: write networks beside them, not in one of them',
  pids_limit: 'write limits: {pids: ...}',
  ports: 'the processes of an application share them: write ports beside them, not in one of them',
  scale: 'write policy: {instances: {min: ..., max: ...}}',
  version: 'the format has no version to name',
};

/** Why a key is unknown, with what was probably meant. */
export const explainUnknownKey = (key: string, known: readonly string[]): string => {
  const meant = findNearest(key, known);
  if (meant !== undefined) return `unknown key; did you mean ${meant}?`;
  if (Object.hasOwn(COMPOSE, key)) return `unknown key; ${COMPOSE[key]}`;
  return `unknown key; known are ${known.join(', ')}`;
};
