/** Makes a machine ready for AppShot (`setup`) and says what it has and lacks (`doctor`). */
export { defaultEngineDir } from '../criu/index.ts';
export { setup } from './setup.ts';
export type { SetupOptions } from './setup.ts';
export type { Report, SetupStep } from './steps.ts';
export { doctor } from './doctor.ts';
export type { DoctorOptions } from './doctor.ts';
export type { Finding, Status } from './doctor/finding.ts';
