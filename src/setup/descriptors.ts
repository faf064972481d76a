/**
 * CRIU's schemas, from the Python modules of the same version: each `*_pb2.py` holds one serialized FileDescriptorProto.
 * They become one FileDescriptorSet, in an order in which each file follows those it imports.
 */
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_descriptor,
} from '@bufbuild/protobuf/wkt';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readBytesLiteral } from './python-literal.ts';

const MARK = 'AddSerializedFile(';
/** Messages without which nothing works: the RPC's request, and the images that are always there. */
const ESSENTIAL = ['criu_req', 'criu_resp', 'inventory_entry', 'task_kobj_ids_entry', 'core_entry'];

/** The schema in one Python module, or undefined when it holds none. Throws a SyntaxError when it is malformed. */
export const schemaIn = (source: string): FileDescriptorProto | undefined => {
  const at = source.indexOf(MARK);
  if (at < 0) return undefined;
  return fromBinary(FileDescriptorProtoSchema, readBytesLiteral(source, at + MARK.length));
};

/** The files in an order in which each one follows its imports. Throws an Error when an import is not among them. */
export const inImportOrder = (files: readonly FileDescriptorProto[]): FileDescriptorProto[] => {
  const byName = new Map(files.map((file) => [file.name, file]));
  const ordered = new Set<FileDescriptorProto>();
  const visit = (name: string, importer: string): void => {
    const file = byName.get(name);
    if (file === undefined) throw new Error(`the schema ${importer} imports ${name}, which is missing`);
    if (ordered.has(file)) return;
    for (const dependency of file.dependency) visit(dependency, name);
    ordered.add(file);
  };
  for (const file of files) visit(file.name, file.name);
  return [...ordered];
};

/** A serialized FileDescriptorSet of these schemas and of what they import from protobuf itself. Throws when one is lacking. */
export const bundleSchemas = (files: readonly FileDescriptorProto[]): Uint8Array => {
  const standard = file_google_protobuf_descriptor.proto;
  const set = create(FileDescriptorSetSchema, { file: inImportOrder([standard, ...files]) });
  const registry = createFileRegistry(set);
  for (const name of ESSENTIAL) {
    if (registry.getMessage(name) === undefined) throw new Error(`the schemas lack the message ${name}`);
  }
  return toBinary(FileDescriptorSetSchema, set);
};

/** Reads all modules below the directory `pycriu` of CRIU's Python package and bundles their schemas. */
export const readSchemas = async (pycriu: string): Promise<Uint8Array> => {
  const files: FileDescriptorProto[] = [];
  for await (const name of glob('**/*_pb2.py', { cwd: pycriu })) {
    const schema = schemaIn(await readFile(join(pycriu, name), 'utf8'));
    if (schema !== undefined) files.push(schema);
  }
  if (files.length === 0) throw new Error(`no schemas in ${pycriu}`);
  return bundleSchemas(files.toSorted((a, b) => a.name.localeCompare(b.name, 'en')));
};
