/**
 * CRIU's messages, by the descriptors that come with the engine in use: nothing of its schema is kept in this tree.
 *
 * Messages are dynamic objects whose keys are the fields in camel case. Unknown fields survive a decode and encode.
 */
import { readFileSync } from 'node:fs';
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, FileRegistry, Message } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { AppShotError } from '../common/index.ts';
import { keepBytesOfText } from './text.ts';

export type Fields = Record<string, unknown>;

// File names and names of processes are bytes that need not be UTF-8.
keepBytesOfText();

export class Schema {
  readonly #registry: FileRegistry;

  private constructor(registry: FileRegistry) {
    this.#registry = registry;
  }

  /** Reads a serialized FileDescriptorSet. Throws `ENGINE_MISSING` when it is not one. */
  static load(path: string): Schema {
    try {
      return new Schema(createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path))));
    } catch (cause) {
      throw new AppShotError('ENGINE_MISSING', { reason: `${path} holds no message descriptors` }, { cause });
    }
  }

  #message(name: string): DescMessage {
    const found = this.#registry.getMessage(name);
    if (!found) throw new AppShotError('ENGINE_MISSING', { reason: `its schema has no message ${name}` });
    return found;
  }

  /** A message for `reencode`, or to be put into one: a new one, with everything in it. */
  make(name: string, fields: Fields): Fields {
    return create(this.#message(name), fields);
  }

  encode(name: string, fields: Fields): Uint8Array {
    const description = this.#message(name);
    return toBinary(description, create(description, fields));
  }

  /** Throws when the bytes are not such a message. */
  decode(name: string, bytes: Uint8Array): Fields {
    return fromBinary(this.#message(name), bytes);
  }

  /** Encodes what `decode` returned, changed or not, with the fields that this schema does not know. */
  reencode(name: string, message: Fields): Uint8Array {
    return toBinary(this.#message(name), message as unknown as Message);
  }
}
