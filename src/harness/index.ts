/** The harness: launches unmodified programs as an application chain (mission A3, figure 10). */
export { capabilityMask } from './capabilities.ts';
export { checkSpecification, launchChain, logFile, readOwnRules, writeIdentityFiles } from './launch.ts';
export { encodeEnvironment, identityVariables } from './specification.ts';
export type { Identity } from './specification.ts';
export { findUser } from './users.ts';
