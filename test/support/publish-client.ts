/** What tests of published ports publish, and how their clients ask. */
import { once } from 'node:events';
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { PublishedPort } from '../../src/network/publish-rules.ts';
import type { Greeting, Instance } from './publish-lab.ts';

export const at = (instances: readonly (Instance | undefined)[]): { address: string; port: number }[] =>
  instances.map((instance) => ({ address: instance?.address ?? '', port: 80 }));

export const tcp = (...instances: (Instance | undefined)[]): PublishedPort => ({
  protocol: 'tcp',
  port: 8080,
  targets: at(instances),
});
export const udp = (...instances: (Instance | undefined)[]): PublishedPort => ({
  protocol: 'udp',
  port: 8080,
  targets: at(instances),
});

/** Whether what is sent through an open connection comes back, byte for byte. */
export const echoes = async (socket: Socket, text: string): Promise<void> => {
  let back = '';
  const whole = new Promise<void>((resolve, reject) => {
    socket.on('data', (data) => (back += String(data)).length >= text.length && resolve());
    socket.once('close', () => reject(new Error('the connection broke')));
  });
  socket.write(text);
  await whole;
  socket.removeAllListeners('data').resume();
  if (back !== text) throw new Error('what came back is not what was sent');
};

export const ask = async (socket: UdpSocket, address: string, patience = 3000): Promise<Greeting> => {
  const answered = once(socket, 'message', { signal: AbortSignal.timeout(patience) }) as Promise<[Buffer]>;
  socket.send('who', 8080, address);
  return JSON.parse(String((await answered)[0])) as Greeting;
};
