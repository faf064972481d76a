import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addWebOptions, toWeb } from '../../src/cli/web-options.ts';
import type { WebOptions } from '../../src/cli/web-options.ts';

const read = (...args: string[]): WebOptions | undefined => {
  const command = addWebOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  return toWeb(command.parse(args, { from: 'user' }).opts());
};

describe('where the web gateway listens', () => {
  it.each([
    [[], undefined],
    [['--http', '80'], { http: { port: 80 } }],
    [['--http', '0.0.0.0:80'], { http: { port: 80 } }],
    [['--http', '10.0.0.1:8080'], { http: { address: '10.0.0.1', port: 8080 } }],
    [
      ['--https', '[::1]:443', '--certificates', '/c'],
      { https: { address: '::1', port: 443 }, certificates: '/c' },
    ],
    [
      ['--http', '80', '--https', '443', '--certificates', '/c', '--redirect'],
      { http: { port: 80 }, https: { port: 443 }, certificates: '/c', redirect: true },
    ],
  ])('%j', (args, web) => {
    expect(read(...args)).toEqual(web);
  });

  it.each(['', '0', '65536', 'a:80', ':80', '::1:80', '[10.0.0.1]:80', '[::1]', '80:80:80', '-1', '8e1'])(
    'is not %j',
    (text) => {
      expect(() => read(`--http=${text}`)).toThrow(/is not \[ADDRESS:\]PORT/);
    },
  );

  it.each([
    [['--https', '443'], '--https needs --certificates'],
    [['--certificates', '/c'], '--certificates needs --https'],
    [['--http', '80', '--redirect'], '--redirect needs --http and --https'],
  ])('must fit together: %j', (args, reason) => {
    expect(() => read(...args)).toThrow(expect.objectContaining({ code: 'USAGE', details: { reason } }));
  });
});
