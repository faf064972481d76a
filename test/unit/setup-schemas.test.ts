import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_descriptor,
} from '@bufbuild/protobuf/wkt';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundleSchemas, inImportOrder, readSchemas, schemaIn } from '../../src/setup/descriptors.ts';
import { readBytesLiteral } from '../../src/setup/python-literal.ts';

/** One byte as protoc's Python generator writes it: letters for some, octal for the rest that is not printable. */
const pythonByte = (byte: number): string => {
  const character = String.fromCodePoint(byte);
  const named: Record<string, string> = {
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    "'": "\\'",
    '"': '\\"',
    '\\': '\\\\',
  };
  if (named[character] !== undefined) return named[character];
  if (byte >= 0x20 && byte < 0x7f) return character;
  return byte % 2 === 0
    ? `\\x${byte.toString(16).padStart(2, '0')}`
    : `\\${byte.toString(8).padStart(3, '0')}`;
};

const literal = (bytes: Uint8Array): string => `b'${Array.from(bytes, pythonByte).join('')}'`;

describe('readBytesLiteral', () => {
  it.each([
    [String.raw`b'abc'`, [0x61, 0x62, 0x63]],
    [String.raw`b"it's"`, [0x69, 0x74, 0x27, 0x73]],
    [String.raw`b'\n\r\t\\\'\"\a\b\f\v'`, [10, 13, 9, 0x5c, 0x27, 0x22, 7, 8, 12, 11]],
    [String.raw`b'\x00\xfF\x41\x42'`, [0, 255, 0x41, 0x42]],
    [String.raw`b'\0\12\377\1234'`, [0, 10, 255, 0x53, 0x34]],
    [`b''`, []],
  ])('reads %s', (source, bytes) => {
    expect([...readBytesLiteral(source, 0)]).toEqual(bytes);
  });

  it.each([
    ['not a literal', 'xyz', /no bytes literal/],
    ['a string', `'abc'`, /no bytes literal/],
    ['one without an end', `b'abc`, /does not end/],
    ['one that runs over the line', `b'ab\nc'`, /does not end/],
    ['a backslash at the end', `b'\\`, /unknown escape/],
    ['an unknown escape', String.raw`b'\q'`, /unknown escape/],
    ['half a hexadecimal escape', String.raw`b'\x4'`, /unknown escape/],
    ['what is not ASCII', `b'é'`, /ASCII/],
  ])('refuses %s', (_, source, reason) => {
    expect(() => readBytesLiteral(source, 0)).toThrow(reason);
  });

  it('gives back any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(readBytesLiteral(`x = ${literal(bytes)})`, 4)).toEqual(bytes);
      }),
    );
  });
});

const file = (name: string, dependency: string[] = [], messages: string[] = []): FileDescriptorProto =>
  create(FileDescriptorProtoSchema, {
    name,
    dependency,
    syntax: 'proto2',
    messageType: messages.map((message) => ({ name: message })),
  });

const pythonModule = (schema: FileDescriptorProto): string =>
  `from google.protobuf import descriptor\n` +
  `DESCRIPTOR = pool.Default().AddSerializedFile(${literal(toBinary(FileDescriptorProtoSchema, schema))})\n`;

const ESSENTIAL = ['criu_req', 'criu_resp', 'inventory_entry', 'task_kobj_ids_entry', 'core_entry'];

describe('schemas', () => {
  it('finds the schema in a Python module, or none', () => {
    const schema = file('opts.proto', [], ['CRIU_Opts']);
    expect(schemaIn(pythonModule(schema))).toEqual(schema);
    expect(schemaIn('import os\n')).toBeUndefined();
  });

  it('orders files after their imports', () => {
    const files = [file('c', ['b', 'a']), file('b', ['a']), file('a')];
    expect(inImportOrder(files).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(() => inImportOrder([file('b', ['a'])])).toThrow('the schema b imports a, which is missing');
  });

  it('bundles them with those of protobuf itself', () => {
    const bundled = bundleSchemas([file('rpc.proto', ['google/protobuf/descriptor.proto'], ESSENTIAL)]);
    const names = fromBinary(FileDescriptorSetSchema, bundled).file.map(({ name }) => name);
    expect(names).toEqual([file_google_protobuf_descriptor.name + '.proto', 'rpc.proto']);
  });

  it('refuses a set without the essential messages', () => {
    expect(() => bundleSchemas([file('rpc.proto', [], ['criu_req'])])).toThrow('lack the message criu_resp');
  });

  it('reads a whole package', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'appshot-schemas-'));
    try {
      await expect(readSchemas(directory)).rejects.toThrow('no schemas in');
      await mkdir(join(directory, 'images'));
      await writeFile(join(directory, 'rpc_pb2.py'), pythonModule(file('rpc.proto', ['a.proto'], ESSENTIAL)));
      await writeFile(join(directory, 'images', 'a_pb2.py'), pythonModule(file('a.proto')));
      await writeFile(join(directory, 'images', 'other.py'), 'broken AddSerializedFile(');
      expect(fromBinary(FileDescriptorSetSchema, await readSchemas(directory)).file).toHaveLength(3);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
