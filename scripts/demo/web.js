/**
 * A web server that counts its visits in a Redis beside it, and holds memory. `node web.js PORT MEGABYTES`
 *
 * GET / adds a visit; /memory adds up a byte of every page that it holds. The one connection to Redis is opened at the start and
 * stays: there is no code here that would open another.
 */
import http from 'node:http';
import net from 'node:net';

const [port, megabytes] = process.argv.slice(2).map(Number);
const PAGE = 4096;
const started = new Date().toISOString();

// Each page begins with its own number modulo 251: a page that came back wrong, or in another place, would change the sum.
const memory = Array.from({ length: megabytes }, (_, index) => {
  const chunk = Buffer.allocUnsafeSlow(1 << 20);
  for (let at = 0; at < chunk.length; at += PAGE) chunk.fill((index * 256 + at / PAGE) % 251, at, at + PAGE);
  return chunk;
});

const sum = () => {
  let total = 0;
  for (const chunk of memory) for (let at = 0; at < chunk.length; at += PAGE) total += chunk[at];
  return total;
};

/** Redis starts at the same time as we do: until it listens, the connection is refused. */
const connect = () =>
  new Promise((resolve) => {
    const socket = net.connect(6379, '127.0.0.1');
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => setTimeout(() => resolve(connect()), 5));
  });

const redis = await connect();
const waiting = [];
redis.on('data', (data) => {
  for (const line of data.toString().trimEnd().split('\r\n')) waiting.shift()(Number(line.slice(1)));
});
const countVisit = () =>
  new Promise((resolve) => {
    waiting.push(resolve);
    redis.write('INCR visits\r\n');
  });

const answer = async (url) => {
  const own = url === '/memory' ? { sum: sum() } : { visit: await countVisit(), started };
  return JSON.stringify({ ...own, pid: process.pid }) + '\n';
};

const server = http.createServer((request, response) => {
  void answer(request.url).then((text) => response.end(text));
});
server.keepAliveTimeout = 0;
server.listen(port, () => console.log(`web listens on ${port}`));
