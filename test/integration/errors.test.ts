/** Every bad input has one clear line, a stable code and an exit code, and leaves nothing behind. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/common/index.ts';
import type { ErrorCode } from '../../src/common/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { failure, failureLine } from '../support/failure-line.ts';
import { APPSHOT, createLab, NETWORK } from '../support/lab.ts';
import type { CommandResult, Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';

const SLEEPER = ['sleep', '1000'];

let lab: Lab;
let running: Application;
let asleep: Application;
let stopped: Application;
let baseline: Inventory;

const inLab = (name: string): string => join(lab.directory, name);

const makeFiles = (): void => {
  writeFileSync(inLab('no-interpreter'), '#!/no/such/interpreter\n');
  chmodSync(inLab('no-interpreter'), 0o755);
  writeFileSync(inLab('malformed.yaml'), 'name: web\nprocesses:\n  web: {command: [sleep, "9"\n');
  writeFileSync(
    inLab('unknown.yaml'),
    'name: web\nprocesses:\n  web:\n    command: [sleep, "9"]\n    comand: x\n',
  );
  writeFileSync(
    inLab('mistyped.yaml'),
    'name: web\nlimits:\n  pids: many\nprocesses:\n  web: {command: [a]}\n',
  );
  writeFileSync(inLab('empty.yaml'), '');
  mkdirSync(inLab('volume'));
};

beforeAll(async () => {
  lab = await createLab();
  makeFiles();
  await lab.daemon();
  running = await launch(lab, 'running', { command: SLEEPER });
  asleep = await launch(lab, 'asleep', { command: SLEEPER });
  stopped = await launch(lab, 'stopped', { command: SLEEPER });
  await asleep.sleep();
  await stopped.stop();
  baseline = await settledInventory(lab);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

interface Case {
  readonly what: string;
  /** A function, since names and addresses are known only when the test runs. */
  readonly args: () => readonly string[];
  readonly code: ErrorCode;
  /** What the line must say besides the code. */
  readonly says: () => string | RegExp;
}

const run = (...options: string[]): string[] => ['run', '--name', 'new', ...options, '--', ...SLEEPER];

const CASES: readonly Case[] = [
  { what: 'an unknown name', args: () => ['sleep', 'nobody'], code: 'APP_NOT_FOUND', says: () => 'nobody' },
  {
    what: 'an unknown name to inspect',
    args: () => ['inspect', 'nobody'],
    code: 'APP_NOT_FOUND',
    says: () => 'nobody',
  },
  {
    what: 'an unknown name to execute in',
    args: () => ['exec', 'nobody', '--', 'id'],
    code: 'APP_NOT_FOUND',
    says: () => 'nobody',
  },
  {
    what: 'a duplicate name',
    args: () => ['run', '--name', 'running', '--', ...SLEEPER],
    code: 'NAME_TAKEN',
    says: () => running.aid,
  },
  {
    what: 'the name of a sleeping application',
    args: () => ['run', '--name', 'asleep', '--', ...SLEEPER],
    code: 'NAME_TAKEN',
    says: () => asleep.aid,
  },
  {
    what: 'a duplicate AID',
    args: () => run('--aid', running.aid),
    code: 'AID_TAKEN',
    says: () => running.aid,
  },
  {
    what: 'a name that is no host name',
    args: () => ['run', '--name', 'No_Name', '--', ...SLEEPER],
    code: 'BAD_NAME',
    says: () => 'No_Name',
  },
  {
    what: 'a command that is not there',
    args: () => ['run', '--name', 'new', '--', 'no-such-command'],
    code: 'COMMAND_NOT_FOUND',
    says: () => 'no-such-command',
  },
  {
    what: 'a path that is not there',
    args: () => ['run', '--name', 'new', '--', '/no/such/command'],
    code: 'COMMAND_NOT_FOUND',
    says: () => '/no/such/command',
  },
  {
    what: 'a command that is not executable',
    args: () => ['run', '--name', 'new', '--', '/etc/passwd'],
    code: 'COMMAND_NOT_EXECUTABLE',
    says: () => '/etc/passwd',
  },
  {
    what: 'a command that is a directory',
    args: () => ['run', '--name', 'new', '--', '/etc'],
    code: 'COMMAND_NOT_EXECUTABLE',
    says: () => '/etc',
  },
  {
    what: 'a script without its interpreter',
    args: () => ['run', '--name', 'new', '--', inLab('no-interpreter')],
    code: 'COMMAND_NOT_EXECUTABLE',
    says: () => 'no-interpreter',
  },
  {
    what: 'a command that ends at once',
    args: () => ['run', '--name', 'new', '--', 'false'],
    code: 'START_FAILED',
    says: () => '1',
  },
  {
    what: 'an address outside the network',
    args: () => run('--address', '10.11.0.5'),
    code: 'ADDRESS_OUTSIDE',
    says: () => NETWORK,
  },
  {
    what: 'an address in use',
    args: () => run('--address', running.address),
    code: 'ADDRESS_IN_USE',
    says: () => running.address,
  },
  {
    what: 'the address of a sleeping application',
    args: () => run('--address', asleep.address),
    code: 'ADDRESS_IN_USE',
    says: () => asleep.address,
  },
  {
    what: 'an unknown user',
    args: () => run('--user', 'no-such-user'),
    code: 'BAD_USER',
    says: () => 'no-such-user',
  },
  {
    what: 'a working directory that is not there',
    args: () => run('--workdir', '/no/such/directory'),
    code: 'BAD_DIRECTORY',
    says: () => '/no/such/directory',
  },
  {
    what: 'a volume that does not exist',
    args: () => run('--volume', `${inLab('no-volume')}:/data`),
    code: 'VOLUME_NOT_FOUND',
    says: () => inLab('no-volume'),
  },
  {
    what: 'malformed YAML',
    args: () => ['run', '--file', inLab('malformed.yaml')],
    code: 'BAD_CONFIG',
    says: () => /malformed\.yaml:\d+:\d+/,
  },
  {
    what: 'an unknown key',
    args: () => ['run', '--file', inLab('unknown.yaml')],
    code: 'BAD_CONFIG',
    says: () => /unknown\.yaml:5:\d+: processes\.web\.comand: /,
  },
  {
    what: 'a value of the wrong type',
    args: () => ['run', '--file', inLab('mistyped.yaml')],
    code: 'BAD_CONFIG',
    says: () => /mistyped\.yaml:3:\d+: limits\.pids: /,
  },
  {
    what: 'an empty file',
    args: () => ['run', '--file', inLab('empty.yaml')],
    code: 'BAD_CONFIG',
    says: () => 'empty.yaml',
  },
  {
    what: 'sleep for one that is stopped',
    args: () => ['sleep', 'stopped'],
    code: 'WRONG_STATE',
    says: () => 'is stopped, so it cannot',
  },
  {
    what: 'wake for one that is stopped',
    args: () => ['wake', 'stopped'],
    code: 'WRONG_STATE',
    says: () => 'is stopped, so it cannot',
  },
  {
    what: 'exec in one that is stopped',
    args: () => ['exec', 'stopped', '--', 'id'],
    code: 'WRONG_STATE',
    says: () => 'is stopped, so it cannot',
  },
  {
    what: 'rm for one that runs',
    args: () => ['rm', 'running'],
    code: 'WRONG_STATE',
    says: () => 'is running, so it cannot',
  },
  {
    what: 'rm for one that sleeps',
    args: () => ['rm', 'asleep'],
    code: 'WRONG_STATE',
    says: () => 'is asleep, so it cannot',
  },
  {
    what: 'no daemon',
    args: () => ['ps', '--run-dir', inLab('nowhere')],
    code: 'NO_DAEMON',
    says: () => inLab('nowhere'),
  },
  { what: 'an unknown verb', args: () => ['snore', 'running'], code: 'USAGE', says: () => 'snore' },
  { what: 'an unknown option', args: () => ['ps', '--colour'], code: 'USAGE', says: () => '--colour' },
  { what: 'no command', args: () => ['run', '--name', 'new'], code: 'USAGE', says: () => 'command' },
  { what: 'a duration that is none', args: () => run('--idle', 'soon'), code: 'USAGE', says: () => 'soon' },
];

describe('bad input', () => {
  test.each(CASES)('$what: $code', async ({ args, code, says }) => {
    expect(failureLine(await lab.appshot(...args()))).toEqual(failure(code, says()));
    const [verb = '', ...rest] = args();
    const json = await lab.appshot(verb, '--json', ...rest);
    const { error } = JSON.parse(json.stderr) as { error: { code: string; message: string; hint: string } };
    expect(error).toMatchObject({ code, message: expect.any(String), hint: expect.any(String) });
    expect(json.code).toBe(ERRORS[code].exit);
  });
});

/** The command as nobody, in none of root's groups. */
const asNobody = (...args: string[]): Promise<CommandResult> =>
  lab.foreground('setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', APPSHOT, ...args]);

describe('rights and daemons', () => {
  test('a user without rights to the socket', async () => {
    expect(failureLine(await asNobody('ps'))).toEqual(failure('FORBIDDEN', lab.runDirectory));
  });

  test('a daemon of a user', async () => {
    expect(failureLine(await asNobody('daemon', '--data-dir', inLab('d'), '--run-dir', inLab('r')))).toEqual(
      failure('NOT_ROOT', 'root'),
    );
  });

  test('a second daemon with the same directories', async () => {
    const own = ['--data-dir', lab.dataDirectory, '--run-dir', lab.runDirectory, '--network', NETWORK];
    expect(failureLine(await lab.foreground(APPSHOT, ['daemon', ...own]))).toEqual(
      failure('DAEMON_RUNNING', String(lab.daemonPid())),
    );
  });

  test.each(['10.0.0.0/33', 'somewhere', '10.10.0.0/31', '127.0.0.0/8'])(
    'the network %s',
    async (network) => {
      const own = ['--data-dir', inLab('d'), '--run-dir', inLab('r'), '--network', network];
      expect(failureLine(await lab.foreground(APPSHOT, ['daemon', ...own]))).toEqual(
        failure('BAD_NETWORK', network),
      );
    },
  );
});

test('after all that everything is as it was', async () => {
  await expectNothingLeft(lab, baseline);
  const names = (await lab.succeed('ps', '--json')).json<{ name: string }[]>().map(({ name }) => name);
  expect(names.toSorted()).toEqual(['asleep', 'running']);
  expect(await asleep.state()).toBe('asleep');
});
