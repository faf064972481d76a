/**
 * The one registry of everything that can fail in front of a user. A test compares it with docs/errors.md.
 *
 * `message` says what and why, `hint` what to do; `{name}` is filled from the parameters. A *mistake* is the user's (bad
 * input, wrong state); a *fault* is the machine's or ours and carries evidence. Codes are stable: scripts rely on them.
 */
import { fault, mistake } from './error-spec.ts';
import type { ErrorSpec } from './error-spec.ts';
import { NETWORK_ERRORS } from './error-table-network.ts';

export const ERRORS = {
  USAGE: mistake(400, 2, '{reason}', "run the command with --help to see how it's used"),
  BAD_REQUEST: mistake(
    400,
    2,
    'the request is not valid: {field}: {reason}',
    'see /openapi.json or docs/api.md',
  ),
  BAD_NAME: mistake(
    400,
    2,
    'the name {name} is not a host name',
    'use 1 to 63 lower-case letters, digits and hyphens, beginning with a letter',
  ),
  BAD_CONFIG: mistake(400, 2, '{file}:{line}:{column}: {field}: {reason}', 'see docs/appshot-yaml.md'),
  BAD_RULES: mistake(400, 2, '{file}:{line}:{column}: {reason}', 'see docs/rules.md'),
  NOT_ROOT: mistake(403, 1, '{what} needs root', 'run it with sudo'),
  FORBIDDEN: mistake(
    403,
    1,
    'the socket {path} may not be used by this user',
    'run as root or join the group that owns the socket',
  ),
  NO_DAEMON: mistake(
    503,
    1,
    'no daemon answers at {path}',
    'start one with `appshot daemon`, or name its --run-dir',
  ),
  DAEMON_RUNNING: mistake(
    409,
    1,
    'a daemon (PID {pid}) already uses {path}',
    'stop it, or give other directories',
  ),
  DAEMON_LOST: fault(
    503,
    'the daemon at {path} ended before it had answered',
    'start it again: it finishes or undoes what was under way; then look at `appshot ps`',
  ),
  BAD_ANSWER: fault(
    500,
    'the daemon (version {theirs}) answered what this command (version {ours}) does not understand: {reason}',
    'use the command of the same version as the daemon',
  ),
  APP_NOT_FOUND: mistake(404, 1, 'no application is called {name}', '`appshot ps --all` lists them'),
  NAME_TAKEN: mistake(
    409,
    1,
    'the name {name} is taken by application {aid}',
    'choose another name, or remove that one with `appshot rm`',
  ),
  AID_TAKEN: mistake(
    409,
    1,
    'the AID {aid} is taken',
    'choose another, or leave it out to have one generated',
  ),
  COMMAND_NOT_FOUND: mistake(
    422,
    1,
    'the command {command} was not found',
    'give a path, or a name on the PATH of the application',
  ),
  COMMAND_NOT_EXECUTABLE: mistake(
    422,
    1,
    'the command {command} cannot be executed: {reason}',
    'check its mode and its #! line',
  ),
  START_FAILED: mistake(
    422,
    1,
    '{process} ended at once, with {status}: {output}',
    'try the command by itself; what it printed is in the details',
  ),
  BAD_USER: mistake(422, 1, 'the user {user} does not exist', 'name a user of this machine, or give UID:GID'),
  BAD_DIRECTORY: mistake(
    422,
    1,
    'the working directory {path} does not exist inside the application',
    'create it, or name another with --workdir',
  ),
  ...NETWORK_ERRORS,
  VOLUME_NOT_FOUND: mistake(
    422,
    1,
    'the volume {source} does not exist',
    'create the directory on the host before the application starts',
  ),
  WRONG_STATE: mistake(409, 1, 'the application {name} is {state}, so it cannot {verb}', '{advice}'),
  BUSY: mistake(409, 1, 'the application {name} is busy: {operation} is under way', 'wait for it to end'),
  BLOCKED: mistake(
    409,
    1,
    'the application {name} cannot be saved: {reasons}',
    '`appshot check {name}` explains each; it goes on running',
  ),
  TURNED_BACK: mistake(
    409,
    1,
    'the application {name} was asked for while it fell asleep, so it stays awake',
    'try again when it is idle',
  ),
  SLEEP_FAILED: fault(
    500,
    'putting {name} to sleep failed at step {step}: {reason}',
    'it goes on running; the evidence is in {log}',
  ),
  FREEZE_FAILED: fault(500, 'freezing {name} failed at step {step}: {reason}', 'it goes on running'),
  THAW_FAILED: fault(
    500,
    'letting {name} go on failed at step {step}: {reason}',
    'it stays frozen; the next packet, or `appshot wake`, tries again',
  ),
  SNAPSHOT_FAILED: fault(
    500,
    'taking a snapshot of {name} failed at step {step}: {reason}',
    'it goes on running; the evidence is in {log}',
  ),
  SNAPSHOT_WITHOUT_FILES: fault(
    409,
    'the snapshot {snapshot} has memory but no files: they could not be kept when it was taken',
    'choose another: see `appshot history`',
  ),
  MEMORY_MODE: fault(
    409,
    'memory cannot come back by {mode}: {reason}',
    'leave the mode to AppShot, or see `appshot doctor`',
  ),
  WAKE_FAILED: fault(
    500,
    'waking {name} failed at step {step}: {reason}',
    'it stays asleep and its snapshot is intact; the evidence is in {log}',
  ),
  SNAPSHOT_CORRUPT: fault(
    500,
    'the snapshot {snapshot} is damaged: {file}: {reason}',
    'the application was not started; restore the file from a backup',
  ),
  FINGERPRINT_MISMATCH: mistake(
    409,
    1,
    'the snapshot of {name} does not fit this machine: {differences}',
    '{advice}',
  ),
  SNAPSHOT_NOT_FOUND: mistake(
    404,
    1,
    'no snapshot has an ID that begins with {snapshot}',
    '`appshot history` lists those of an application',
  ),
  SNAPSHOT_AMBIGUOUS: mistake(
    409,
    1,
    'several snapshots have an ID that begins with {snapshot}',
    'give more of it; the candidates are in the details',
  ),
  SNAPSHOT_IN_USE: mistake(409, 1, 'the snapshot {snapshot} cannot be removed: {reason}', '{advice}'),
  NO_SNAPSHOT: mistake(
    409,
    1,
    'the application {name} has no snapshot yet',
    'take one with `appshot snapshot {name}`',
  ),
  TEMPLATE_NOT_FOUND: mistake(404, 1, 'no template is called {name}', '`appshot template ls` lists them'),
  TEMPLATE_TAKEN: mistake(
    409,
    1,
    'the name {name} is taken by another template',
    'choose another name, or remove that one with `appshot template rm`',
  ),
  TEMPLATE_IN_USE: mistake(
    409,
    1,
    'the template {name} cannot be removed: {clones} began from it and share its files',
    'remove them first with `appshot rm`',
  ),
  LOOP_UNAVAILABLE: fault(
    503,
    'the files of a template cannot be mounted from {image}: {reason}',
    'templates need loop devices: load the module loop, and let /dev/loop-control be there; `appshot doctor` tries them',
  ),
  TEMPLATE_REFUSED: mistake(
    409,
    1,
    'no template can be made from {name}: {reasons}',
    'have the application let go of it, and try again',
  ),
  FORK_REFUSED: mistake(
    409,
    1,
    'the application {name} cannot be forked: {reasons}',
    'have it let go of that, or stop it: a rewind needs no second one',
  ),
  HOOK_FAILED: fault(
    500,
    '{hook} of the clone {name} failed: {reason}',
    'the clone was not put on the network; try the hook in the application that the template was made from',
  ),
  LINK_OUTSIDE: mistake(
    422,
    1,
    '{what} cannot be {path}: {reason}',
    'choose an absolute path outside /proc, /sys, /dev and /.appshot; docs/rules.md tells more',
  ),
  BAD_REFERENCE: mistake(
    400,
    2,
    '{ref} does not name a snapshot in a registry: {reason}',
    'write it like registry.example:5000/shop/web:monday',
  ),
  QUOTA_EXCEEDED: mistake(
    507,
    1,
    'the snapshots would take {needed} bytes, of which the quota allows {quota}',
    'remove some with `appshot discard`, or start the daemon with a larger --quota',
  ),
  NO_SPACE: fault(507, 'no space is left in {path} ({step})', 'free space there; nothing was lost'),
  ENVIRONMENT_FAILED: fault(
    500,
    'an environment could not be made: {reason}',
    '`appshot doctor` lists what the kernel lacks',
  ),
  ENGINE_MISSING: mistake(503, 1, 'no working CRIU was found: {reason}', 'run `appshot setup`'),
  ENGINE_FAILED: fault(500, 'CRIU failed: {reason}', 'the end of its log is in the details'),
  KERNEL_CALL_FAILED: fault(500, '{call} failed: {errno}', '`appshot doctor` lists what the kernel lacks'),
  TOOL_FAILED: fault(500, '{tool} failed with {status}: {stderr}', 'the arguments are in the details'),
  SETUP_FAILED: fault(
    500,
    'set-up failed at {step}: {reason}',
    'mend the cause and run it again; it goes on where it stopped',
  ),
  REGISTRY_CORRUPT: fault(
    500,
    'the registry {path} cannot be read: {reason}',
    'the applications go on; restore the file from a backup, or move it away to start afresh',
  ),
  REGISTRY_UNUSABLE: fault(
    503,
    'the registry {path} cannot be used: {reason}',
    'the applications go on; mend its disk or permissions, or end what else uses the file, and try again',
  ),
  BUNDLE_FILE: mistake(
    422,
    1,
    'the file {path} cannot be used: {reason}',
    'name a file in a directory that is there',
  ),
  BUNDLE_FOREIGN: mistake(
    422,
    1,
    '{where} is not a snapshot that this version reads: {reason}',
    'give what `appshot export` or `appshot push` made',
  ),
  BUNDLE_CORRUPT: mistake(
    422,
    1,
    'the snapshot {where} is damaged: {reason}',
    'nothing was imported; copy, export or push it again',
  ),
  BUNDLE_KEY: mistake(
    403,
    1,
    'the snapshot {where} cannot be opened: {reason}',
    'give the key or passphrase that it was encrypted with, and none when it was not',
  ),
  BUNDLE_UNSIGNED: mistake(
    403,
    1,
    'the snapshot {where} cannot be verified: {reason}',
    'have it signed with --sign; without --verify it is taken from anyone',
  ),
  BUNDLE_SIGNATURE: mistake(
    403,
    1,
    'the signature of the snapshot {where} is refused: {reason}',
    'nothing was imported; make sure of where it comes from',
  ),
  KEY_UNUSABLE: mistake(
    400,
    2,
    'the key {path} cannot be used: {reason}',
    'docs/transport.md tells how keys are made',
  ),
  REMOTE_UNREACHABLE: fault(
    503,
    'the image registry {host} cannot be reached: {reason}',
    'nothing is half done; try again when it answers, and only what is missing is sent',
  ),
  REMOTE_REFUSED: mistake(
    403,
    1,
    'the image registry {host} refused access to {name}: {reason}',
    'log in with your container tool, which writes ~/.docker/config.json',
  ),
  REMOTE_NOT_FOUND: mistake(
    404,
    1,
    'the image registry {host} has no {reference}',
    'check the name and the tag',
  ),
  REMOTE_FAILED: fault(
    500,
    'the image registry {host} answered {request} with {status}: {reason}',
    'nothing is half done; its own log may say more',
  ),
  INTERNAL: fault(500, 'a bug: {reason}', 'please report it with the details'),
} as const satisfies Record<string, ErrorSpec>;
