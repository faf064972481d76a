/** CRIU's messages for tests: a few of them built by hand, and those of this machine's engine where set-up has been run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { Schema, loadEngine } from '../../src/criu/index.ts';

type FieldType = 'uint32' | 'int32' | 'bool' | 'string' | `.${string}`;
type Field = readonly [name: string, number: number, type: FieldType, required?: 'required'];
type Messages = Readonly<Record<string, readonly Field[]>>;

const SCALARS: Readonly<Record<string, Type>> = {
  uint32: Type.UINT32,
  int32: Type.INT32,
  bool: Type.BOOL,
  string: Type.STRING,
};

const IDS: readonly Field[] = [
  ['vm_id', 1, 'uint32', 'required'],
  ['files_id', 2, 'uint32', 'required'],
  ['fs_id', 3, 'uint32', 'required'],
  ['sighand_id', 4, 'uint32', 'required'],
  ['user_ns_id', 10, 'uint32'],
];

const MESSAGES: Messages = {
  inventory_entry: [
    ['img_version', 1, 'uint32', 'required'],
    ['root_ids', 3, '.task_kobj_ids_entry'],
  ],
  task_kobj_ids_entry: IDS,
  criu_opts: [
    ['images_dir_fd', 1, 'int32', 'required'],
    ['pid', 2, 'int32'],
    ['notify_scripts', 14, 'bool'],
  ],
  criu_notify: [
    ['script', 1, 'string'],
    ['pid', 2, 'int32'],
  ],
  criu_restore_resp: [['pid', 1, 'int32', 'required']],
  criu_req: [
    ['type', 1, 'int32', 'required'],
    ['opts', 2, '.criu_opts'],
    ['notify_success', 3, 'bool'],
  ],
  criu_resp: [
    ['type', 1, 'int32', 'required'],
    ['success', 2, 'bool', 'required'],
    ['restore', 4, '.criu_restore_resp'],
    ['notify', 5, '.criu_notify'],
    ['cr_errmsg', 8, 'string'],
  ],
};

const fieldOf = ([name, number, type, required]: Field) => ({
  name,
  number,
  label: required ? Label.REQUIRED : Label.OPTIONAL,
  ...(type.startsWith('.') ? { type: Type.MESSAGE, typeName: type } : { type: SCALARS[type] ?? Type.UINT32 }),
});

const load = (messages: Messages): Schema => {
  const directory = mkdtempSync(join(tmpdir(), 'appshot-schema-'));
  try {
    const messageType = Object.entries(messages).map(([name, fields]) => ({
      name,
      field: fields.map(fieldOf),
    }));
    const set = create(FileDescriptorSetSchema, {
      file: [{ name: 'criu.proto', syntax: 'proto2', messageType }],
    });
    const path = join(directory, 'descriptors.binpb');
    writeFileSync(path, toBinary(FileDescriptorSetSchema, set));
    return Schema.load(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

/** As the engine's, as far as the tests use it. */
export const builtSchema = load(MESSAGES);

/** Of an engine that knows a field more. */
export const newerSchema = load({ ...MESSAGES, task_kobj_ids_entry: [...IDS, ['newer_id', 99, 'uint32']] });

const engineSchema = (): Schema[] => {
  try {
    return [Schema.load(loadEngine().descriptors)];
  } catch {
    return [];
  }
};

/** For `describe.each`: what holds for the one must hold for the other. */
export const schemas: readonly (readonly [string, Schema])[] = [
  ['messages built by hand', builtSchema] as const,
  ...engineSchema().map((schema) => ["this machine's engine", schema] as const),
];
