/**
 * What a Node program needs to know when it is cloned: who it is now, and that its random numbers must be others. Outside AppShot everything
 * works, as in an application that never is cloned. Docs: docs/uniqueness.md.
 */
import { readFileSync, watch } from 'node:fs';
import { generation, setGeneration } from './cell.js';
import { reseed, reseedOnClone, whenNoticed } from './random.js';

const IDENTITY = '/.appshot/identity.json';

/** Who this application is now; null outside AppShot. */
export const identity = () => {
  try {
    return JSON.parse(readFileSync(IDENTITY, 'utf8'));
  } catch {
    return null;
  }
};

export const isClone = () => generation() > 0;

const listeners = new Set();
let told = generation();
let watcher;

const tell = () => {
  const now = identity();
  if (now && now.generation > generation()) setGeneration(now.generation);
  if (generation() === told) return;
  told = generation();
  // Each by itself: what one throws is its own, and keeps no other from being called.
  for (const listener of listeners) queueMicrotask(() => listener(now));
};

const listen = () => {
  whenNoticed(() => setImmediate(tell));
  try {
    watcher ??= watch(IDENTITY, { persistent: false }, tell);
  } catch {
    // Outside AppShot there is nothing to watch.
  }
};

/** Calls `listener` with the new identity in each clone, when its event loop turns; gives the function that ends this. */
export const onClone = (listener) => {
  const own = (now) => listener(now);
  if (listeners.size === 0) listen();
  listeners.add(own);
  return () => void listeners.delete(own);
};

export { generation, reseed, reseedOnClone };
