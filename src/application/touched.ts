/**
 * The parts of layers that an application has touched since its wake. It will touch them again: where they are not in the page cache
 * any more, reading them while the engine works saves a wait at each of them.
 */
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { readAhead } from '../kernel/index.ts';
import { MEMORY_DIRECTORY, layerName } from '../snapshots/index.ts';
import type { House, Work } from './context.ts';
import { mappingsOf } from './processes.ts';

const PAGE = 4096;
/** Bytes of an entry of /proc/PID/pagemap; its highest bit says that the page is there. Source: proc_pid_pagemap(5). */
const ENTRY = 8;
const PRESENT = 0x80;
/** Holes up to this are read too: one request costs more. */
const GAP = 64 << 10;
/** Of a mapping, at a time. */
const PAGES_AT_ONCE = 64 << 10;

/** By the layer's name: offset and length in bytes, ascending. */
type Touched = Record<string, [offset: number, length: number][]>;

const add = (runs: [number, number][], offset: number): void => {
  const last = runs.at(-1);
  if (last && offset - (last[0] + last[1]) <= GAP && offset >= last[0])
    last[1] = Math.max(last[1], offset + PAGE - last[0]);
  else runs.push([offset, PAGE]);
};

/** A mapping is named by its range, in hexadecimal. */
const touchedIn = (pagemap: number, range: string, offset: number, runs: [number, number][]): void => {
  const [start = 0, end = 0] = range.split('-').map((text) => parseInt(text, 16));
  const pages = (end - start) / PAGE;
  const entries = Buffer.alloc(Math.min(pages, PAGES_AT_ONCE) * ENTRY);
  for (let page = 0; page < pages; page += PAGES_AT_ONCE) {
    const size = Math.min(pages - page, PAGES_AT_ONCE) * ENTRY;
    const read = readSync(pagemap, entries, 0, size, (start / PAGE + page) * ENTRY);
    for (let at = 0; at < read; at += ENTRY)
      if (((entries[at + ENTRY - 1] ?? 0) & PRESENT) !== 0) add(runs, offset + (page + at / ENTRY) * PAGE);
  }
};

const read = (path: string): Touched => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Touched;
  } catch {
    return {};
  }
};

/** Remembers them. Some milliseconds for gigabytes, before anything is frozen; a failure costs nothing but time later. */
export const noteTouched = (house: House, aid: string, pids: readonly number[]): void => {
  const touched: Touched = {};
  try {
    for (const pid of pids) {
      const layers = mappingsOf(pid).filter(({ path }) => path.startsWith(`${MEMORY_DIRECTORY}/`));
      if (layers.length === 0) continue;
      const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
      try {
        for (const { range, path, offset } of layers)
          touchedIn(pagemap, range, offset, (touched[basename(path)] ??= []));
      } finally {
        closeSync(pagemap);
      }
    }
    writeFileSync(house.layout.application(aid).touched, JSON.stringify(touched), { mode: 0o600 });
  } catch (err) {
    house.log.debug({ err, aid }, 'what was touched could not be noted');
  }
};

/** Reads them, without waiting. */
export const readTouched = ({ house, record, layers = [] }: Work): void => {
  const touched = layers.length === 0 ? {} : read(house.layout.application(record.aid).touched);
  for (const layer of layers) {
    const runs = touched[layerName(layer.digest)] ?? [];
    if (runs.length === 0) continue;
    const descriptor = openSync(house.store.layers.path(layer), 'r');
    try {
      for (const [offset, length] of runs) readAhead(descriptor, offset, length);
    } finally {
      closeSync(descriptor);
    }
  }
};
