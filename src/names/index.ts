/** Names of applications: the name server inside their networks, and the hosts file outside. */
export type { HostsEntry } from './hosts-block.ts';
export { HostsFile } from './hosts-file.ts';
export { resolverFile, serversOf } from './resolver.ts';
export { NameServer } from './server.ts';
export { answer, fullName, outsideNames } from './zone.ts';
export type { AskedNetwork, NameAnswer, NamedInstance, NameQuestion, NameRecord } from './zone.ts';
