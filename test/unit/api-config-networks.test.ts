/** The keys of `appshot.yaml` that say how an application is reached, and what the scheduler may do with it. */
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/api/config.ts';
import { ChainSpec } from '../../src/api/index.ts';
import { AppShotError } from '../../src/common/index.ts';

const minimal = 'name: web\nprocesses: {web: {command: node}}\n';

const parse = (text: string): ChainSpec =>
  parseConfig(text, { file: 'appshot.yaml', directory: '/srv/shop', environment: {} });

const failure = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof AppShotError && error.code === 'BAD_CONFIG') return error.message;
    throw error;
  }
  throw new Error('it was taken');
};

describe('parseConfig', () => {
  it('takes what is published in either way of writing', () => {
    const text = (key: string, list: string) => parse(`${minimal}${key}: [${list}]`).publish;
    const short = '8080:80, "127.0.0.1:53:5353/udp", 8000-8001:80-81, 0.0.0.0:90:91/tcp';
    const published = [
      { port: 8080, target: 80, protocol: 'tcp' },
      { port: 53, target: 5353, protocol: 'udp', address: '127.0.0.1' },
      { port: 8000, target: 80, protocol: 'tcp' },
      { port: 8001, target: 81, protocol: 'tcp' },
      { port: 90, target: 91, protocol: 'tcp' },
    ];
    expect(text('publish', short)).toEqual(published);
    expect(text('ports', short)).toEqual(published);
    expect(text('publish', '{port: 1-2, target: 3-4, protocol: udp}')).toMatchObject([
      { port: 1, target: 3 },
      { port: 2, target: 4, protocol: 'udp' },
    ]);
    expect(text('ports', '{published: 1, target: 2, host_ip: 10.0.0.1}')).toEqual([
      { port: 1, target: 2, protocol: 'tcp', address: '10.0.0.1' },
    ]);
    const both = parse(`${minimal}publish: [1:1, 10.0.0.1:2:2]\nports: [2:2/udp, 10.0.0.2:2:3]`).publish;
    expect(both?.map(({ target }) => target)).toEqual([1, 2, 2, 3]);
    expect(text('publish', '')).toBeUndefined();
  });

  it('gives a site without a port that of the only target', () => {
    const text =
      'publish: [8080:80, 8081:80, 9:9/udp]\nsites: [a.example, {host: "*.b.example"}, c.example:81]';
    expect(parse(`${minimal}${text}`).sites).toEqual([
      { host: 'a.example', port: 80 },
      { host: '*.b.example', port: 80 },
      { host: 'c.example', port: 81 },
    ]);
  });

  it('takes a policy', () => {
    const text = (policy: string) => parse(`${minimal}policy: ${policy}`);
    expect(text('{}').policy).toEqual({ priority: 50, ignore: [] });
    const whole =
      '{priority: 80, idle: {freeze: 30s, sleep: 5m}, instances: {max: 4, template: base, concurrency: 20}, ignore: [10.0.0.0/8, 10.1.2.3]}';
    expect(text(whole)).toMatchObject({
      idle: 300,
      policy: {
        priority: 80,
        freeze: 30,
        instances: { min: 0, max: 4, template: 'base', concurrency: 20 },
        ignore: ['10.0.0.0/8', '10.1.2.3/32'],
      },
    });
    expect(text('{idle: {freeze: 30s}}\nidle: 31s')).toMatchObject({ idle: 31, policy: { freeze: 30 } });
    expect(ChainSpec.parse(text(whole))).toEqual(text(whole));
  });
});

describe('an error', () => {
  it.each([
    [`${minimal}ports: [80]`, "3:9: ports.0: '80' names no port of this machine: write 80:80"],
    [`${minimal}networks: [a, b]`, '3:1: networks: an application belongs to one network'],
    [`${minimal}networks: [Blue]`, '3:12: networks.0: use 1 to 32 lower-case letters'],
    [`${minimal}network: a\nnetworks: [a]`, '4:1: networks: network and networks are two names for the same'],
    [`${minimal}network: ~`, '3:1: network: it has no value'],
    [`${minimal}publish: 8080:80`, '3:1: publish: it must be a list'],
    [`${minimal}publish: [8080:http]`, "3:11: publish.0.target: 'http' is neither a port nor a range"],
    [`${minimal}publish: [web:8080:80]`, '3:11: publish.0.address: Invalid IPv4 address'],
    [`${minimal}publish: ["[::1]:8080:80"]`, "3:11: publish.0: '[::1]:8080:80' does not begin with an IPv4"],
    [`${minimal}publish: [8080:80/sctp]`, '3:11: publish.0.protocol: Invalid option: expected one of "tcp"'],
    [
      `${minimal}publish: [8080:80/tcp/udp]`,
      "3:11: publish.0: '8080:80/tcp/udp' is not [ADDRESS:]PORT:TARGET",
    ],
    [`${minimal}publish: [x]`, "3:11: publish.0: 'x' is not [ADDRESS:]PORT:TARGET[/udp], such as 8080:80"],
    [`${minimal}publish: [8080:70000]`, '3:11: publish.0.target: the port 70000 is not between 1 and 65535'],
    [
      `${minimal}publish: [{port: 0, target: 80}]`,
      '3:12: publish.0.port: the port 0 is not between 1 and 65535',
    ],
    [`${minimal}publish: [{port: 1}]`, '3:11: publish.0.target: it is missing'],
    [`${minimal}publish: [{prot: 1}]`, '3:12: publish.0.prot: unknown key; did you mean port?'],
    [
      `${minimal}ports: [{target: 1, published: 1, mode: host}]`,
      '3:35: ports.0.mode: unknown key; ports of this',
    ],
    [`${minimal}publish: [8000-8003:80]`, '3:11: publish.0: ports and targets must be as many, not 4 and 1'],
    [
      `${minimal}publish: [8003-8000:80-83]`,
      '3:11: publish.0.port: the range 8003-8000 ends before it begins',
    ],
    [`${minimal}publish: [1-65535:1-65535]`, '3:11: publish.0: there may be 64 at most'],
    [`${minimal}publish: [1-64:1-64]\nports: [80:80]`, '4:9: ports.0: there may be 64 at most'],
    [`${minimal}publish: [1:1, 1:2/udp, 1:3]`, '3:25: publish.2: the port 1/tcp is there twice'],
    [`${minimal}publish: [1-3:1-3]\nports: [127.0.0.1:2:2]`, '4:9: ports.0: the port 2/tcp is there twice'],
    [`${minimal}publish: [0.0.0.0:1:1, 10.0.0.1:1:2]`, '3:24: publish.1: the port 1/tcp is there twice'],
    [
      `${minimal}sites: [a.example]`,
      '3:9: sites.0: say which port of the application serves it, such as a.ex',
    ],
    [
      `${minimal}publish: [1:1, 2:2]\nsites: [a]`,
      '4:9: sites.0: say which port of the application serves it',
    ],
    [`${minimal}publish: [1:1/udp]\nsites: [a]`, '4:9: sites.0: say which port of the application serves it'],
    [`${minimal}sites: [a.example:1, a.example:2]`, '3:22: sites.1: the host a.example is there twice'],
    [`${minimal}sites: [Shop.example:80]`, '3:9: sites.0.host: give a host name in lower case'],
    [
      `${minimal}sites: [http://a.example:80]`,
      "3:9: sites.0: 'http://a.example:80' is not HOST:PORT, such as",
    ],
    [`${minimal}sites: [a:0]`, '3:9: sites.0.port: it must be at least 1'],
    [`${minimal}policy: {priorty: 1}`, '3:10: policy.priorty: unknown key; did you mean priority?'],
    [`${minimal}policy: {priority: 101}`, '3:10: policy.priority: it must be at most 100'],
    [`${minimal}policy: {priority: -1}`, '3:10: policy.priority: it must be at least 0'],
    [`${minimal}policy: {priority: high}`, "3:10: policy.priority: 'high' is not a number"],
    [`${minimal}policy: {nice: 3}`, '3:10: policy.nice: unknown key'],
    [`${minimal}policy: {idle: {thaw: 1m}}`, '3:17: policy.idle.thaw: unknown key'],
    [`${minimal}policy: {idle: {freeze: never}}`, "3:17: policy.idle.freeze: 'never' is not a duration"],
    [`${minimal}policy: {instances: {min: -1, max: 2}}`, '3:22: policy.instances.min: it must be at least 0'],
    [
      `${minimal}policy: {instances: {max: 2, concurrency: 0}}`,
      '3:30: policy.instances.concurrency: it must be at least 1',
    ],
    [
      `${minimal}policy: {instances: {max: 2, template: [a]}}`,
      '3:30: policy.instances.template: it must be text',
    ],
    [`${minimal}policy: {ignore: 10.0.0.0/8}`, '3:10: policy.ignore: it must be a list'],
    [`${minimal}policy: {priority: 1.5}`, '3:10: policy.priority: it must be a whole number'],
    [`${minimal}policy: {idle: 30s}`, '3:10: policy.idle: it must be a mapping'],
    [`${minimal}policy: {idle: {freeze: 30}}`, "3:17: policy.idle.freeze: '30' is not a duration"],
    [
      `${minimal}policy: {idle: {sleep: 1m}}\nidle: 2m`,
      '3:17: policy.idle.sleep: idle says the same already',
    ],
    [
      `${minimal}policy: {idle: {freeze: 2m, sleep: 2m}}`,
      '3:17: policy.idle.freeze: it must be less than the',
    ],
    [`${minimal}policy: {instances: {min: 3}}`, '3:10: policy.instances.max: it is missing'],
    [
      `${minimal}policy: {instances: {min: 3, max: 2}}`,
      '3:22: policy.instances.min: it must be at most 2, as max',
    ],
    [
      `${minimal}policy: {ignore: [10.0.0.0/33]}`,
      '3:19: policy.ignore.0: give an IPv4 network such as 10.0.0.0/8',
    ],
    [
      `${minimal}policy: {ignore: [nobody]}`,
      '3:19: policy.ignore.0: give an IPv4 network such as 10.0.0.0/8',
    ],
    [`${minimal}deploy: {replicas: 2}`, '3:1: deploy: unknown key; write policy: {instances: {min: ..., max'],
    [
      'name: web\nservices: {web: {command: x, ports: [1:1]}}',
      '2:30: services.web.ports: unknown key; the processes of an application share them: write ports beside',
    ],
  ])('of %j says where and why', (text, expected) => {
    expect(failure(text)).toContain(`appshot.yaml:${expected}`);
  });
});
