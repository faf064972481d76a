/**
 * How a snapshot travels: as one file (export, import) or by way of an image registry (push, pull), signed and encrypted on request.
 * docs/transport.md has the formats. What comes in is not believed: nothing is committed before all of it is proved.
 */
export type {
  BundleObject,
  BundleSink,
  BundleSource,
  ObjectKind,
  Progress,
  TransferOptions,
} from './bundle.ts';
export { exportBundle } from './export.ts';
export type { Exported, ExportOptions } from './export.ts';
export { importBundle } from './import.ts';
export type { Received, ReceiveOptions } from './import.ts';
export { readCredentials } from './oci/credentials.ts';
export type { Credentials } from './oci/credentials.ts';
export { parseReference } from './oci/reference.ts';
export type { Reference } from './oci/reference.ts';
export { pullBundle } from './pull.ts';
export type { Pulled, PullOptions } from './pull.ts';
export { pushBundle } from './push.ts';
export type { Pushed, PushOptions } from './push.ts';
export { readPassphrase, readSecret } from './secret.ts';
export type { Secret } from './secret.ts';
export { readSigningKey, readVerifyingKey } from './signature.ts';
