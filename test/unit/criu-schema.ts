/** CRIU's messages for tests: a few of them built by hand, and those of this machine's engine where set-up has been run. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { FileRegistry } from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { Schema, loadEngine } from '../../src/criu/index.ts';

type FieldType = 'uint32' | 'uint64' | 'int32' | 'bool' | 'string' | 'bytes' | `.${string}`;
type Field = readonly [name: string, number: number, type: FieldType, label?: 'required' | 'repeated'];
type Messages = Readonly<Record<string, readonly Field[]>>;

const SCALARS: Readonly<Record<string, Type>> = {
  uint32: Type.UINT32,
  uint64: Type.UINT64,
  int32: Type.INT32,
  bool: Type.BOOL,
  string: Type.STRING,
  bytes: Type.BYTES,
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
  pagemap_head: [['pages_id', 1, 'uint32', 'required']],
  pagemap_entry: [
    ['vaddr', 1, 'uint64', 'required'],
    ['compat_nr_pages', 2, 'uint32', 'required'],
    ['in_parent', 3, 'bool'],
    ['flags', 4, 'uint32'],
    ['nr_pages', 5, 'uint64'],
  ],
  pipe_data_entry: [
    ['pipe_id', 1, 'uint32', 'required'],
    ['bytes', 2, 'uint32', 'required'],
    ['size', 3, 'uint32'],
  ],
  tcp_stream_entry: [
    ['inq_len', 1, 'uint32', 'required'],
    ['outq_len', 3, 'uint32', 'required'],
  ],
  ghost_file_entry: [
    ['mode', 3, 'uint32', 'required'],
    ['chunks', 9, 'bool'],
    ['symlnk_target', 11, 'string'],
  ],
  ghost_chunk_entry: [
    ['len', 1, 'uint64', 'required'],
    ['off', 2, 'uint64', 'required'],
  ],
  ipc_msg_entry: [['qnum', 3, 'uint32', 'required']],
  ipc_msg: [
    ['mtype', 1, 'uint64', 'required'],
    ['msize', 2, 'uint32', 'required'],
  ],
  ipc_sem_entry: [['nsems', 2, 'uint32', 'required']],
  ipc_shm_entry: [
    ['size', 2, 'uint64', 'required'],
    ['in_pagemaps', 3, 'bool'],
  ],
  core_entry: [
    ['mtype', 1, 'uint32', 'required'],
    ['thread_core', 5, '.thread_core_entry'],
  ],
  thread_core_entry: [
    ['futex_rla', 1, 'uint64', 'required'],
    ['futex_rla_len', 2, 'uint32', 'required'],
    ['seccomp_mode', 11, 'uint32'],
    ['seccomp_filter', 12, 'uint32'],
  ],
  seccomp_filter: [
    ['filter', 1, 'bytes', 'required'],
    ['prev', 2, 'uint32'],
    ['flags', 3, 'uint32'],
  ],
  seccomp_entry: [['seccomp_filters', 1, '.seccomp_filter', 'repeated']],
  reg_file_entry: [
    ['id', 1, 'uint32', 'required'],
    ['name', 6, 'string', 'required'],
  ],
  file_entry: [
    ['type', 1, 'uint32', 'required'],
    ['id', 2, 'uint32', 'required'],
    ['reg', 3, '.reg_file_entry'],
  ],
  vma_entry: [
    ['start', 1, 'uint64', 'required'],
    ['end', 2, 'uint64', 'required'],
    ['pgoff', 3, 'uint64', 'required'],
    ['shmid', 4, 'uint64', 'required'],
    ['flags', 6, 'uint32', 'required'],
    ['status', 7, 'uint32', 'required'],
  ],
  mm_entry: [['vmas', 14, '.vma_entry', 'repeated']],
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

const LABELS = { required: Label.REQUIRED, repeated: Label.REPEATED };

const fieldOf = ([name, number, type, label]: Field) => ({
  name,
  number,
  label: label ? LABELS[label] : Label.OPTIONAL,
  ...(type.startsWith('.') ? { type: Type.MESSAGE, typeName: type } : { type: SCALARS[type] ?? Type.UINT32 }),
});

/** The descriptions behind each schema, for tests that make messages of all kinds. */
const registries = new WeakMap<Schema, FileRegistry>();

export const registryOf = (schema: Schema): FileRegistry => {
  const found = registries.get(schema);
  if (!found) throw new Error('no schema of these tests');
  return found;
};

const loadFile = (path: string): Schema => {
  const schema = Schema.load(path);
  registries.set(schema, createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path))));
  return schema;
};

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
    return loadFile(path);
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
    return [loadFile(loadEngine().descriptors)];
  } catch {
    return [];
  }
};

/** For `describe.each`: what holds for the one must hold for the other. */
export const schemas: readonly (readonly [string, Schema])[] = [
  ['messages built by hand', builtSchema] as const,
  ...engineSchema().map((schema) => ["this machine's engine", schema] as const),
];
