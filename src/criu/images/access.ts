/** Fields of messages, with their types; what is not there reads as nothing, zero or the empty text. */
import type { Fields } from '../schema.ts';

/** Whether a message has a field, rather than the schema's default for it. */
export const has = (message: Fields, field: string): boolean => Object.hasOwn(message, field);

export const part = (message: Fields | undefined, field: string): Fields | undefined =>
  message?.[field] as Fields | undefined;

export const parts = (message: Fields | undefined, field: string): Fields[] =>
  (message?.[field] as Fields[] | undefined) ?? [];

export const numbers = (message: Fields, field: string): number[] =>
  (message[field] as number[] | undefined) ?? [];

/** Numbers of 64 bits lose what is beyond 2^53. */
export const numberIn = (message: Fields | undefined, field: string): number => Number(message?.[field] ?? 0);

export const textIn = (message: Fields | undefined, field: string): string =>
  (message?.[field] as string | undefined) ?? '';

export const bytesIn = (message: Fields | undefined, field: string): Uint8Array =>
  (message?.[field] as Uint8Array | undefined) ?? new Uint8Array();
