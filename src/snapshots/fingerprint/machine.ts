/** What this machine is, as far as restored programs can tell. Read once: it doesn't change while the kernel runs. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { machine, release } from 'node:os';
import type { Machine } from './schema.ts';

const AT_PAGESZ = 6n;
const AT_MINSIGSTKSZ = 51n;
const WORD = 8;
/** The first processor's paragraph is about 3 KiB. */
const MOST_CPUINFO = 1 << 16;

/**
 * Flags that no program chooses code by: what only the kernel can use, what it says of mitigations and virtual machines, and names
 * of its own. They change with the kernel's version and the hypervisor's, and a difference would refuse without need. A flag that
 * isn't known here counts.
 */
const KERNEL_ONLY = new Set(
  `acc_power acpi amd_dcm amd_lbr_pmc_freeze amd_lbr_v2 amd_ppin aperfmperf apic apicv arat arch_capabilities arch_lbr
  arch_perfmon art auto_ibrs avic bhi_ctrl bpext bts bus_lock_detect cat_l2 cat_l3 cdp_l2 cdp_l3 cmp_legacy
  coherency_sfw_no constant_tsc cpb cpuid cpuid_fault cqm cqm_llc cqm_mbm_local cqm_mbm_total cqm_occup_llc cr8_legacy
  dca de debug_swap decodeassists ds_cpl dtes64 dtherm dts epb ept ept_ad est extapic extd_apicid flexpriority flush_l1d
  flushbyasid hfi hle ht hw_pstate hwp hwp_act_window hwp_epp hwp_notify hwp_pkg_req hypervisor ibpb ibpb_exit_to_user
  ibpb_no_ret ibrs ibrs_enhanced ibs ibt ida intel_ppin intel_pt invpcid invpcid_single irperf kaiser l1tf lbrv mba mca
  mce md_clear monitor msr mtrr nonstop_tsc nonstop_tsc_s3 nopl npt nrip_save nx osvw overflow_recov pae pat pausefilter
  pbe pcid pconfig pdcm pebs perfctr_core perfctr_llc perfctr_nb perfmon_v2 pfthreshold pge pln proc_feedback pse pse36
  pti ptsc rapl rdt_a rep_good retpoline retpoline_amd rrsba_ctrl rsb_ctxsw sbpb sdbg sev sev_es sev_snp sgx_lc skinit
  smap smca sme smep smx split_lock_detect srso_user_kernel_no ss ssbd stibp stibp_always_on succor svm svm_lock tm tm2
  tme topoext tpr_shadow tsc_adjust tsc_deadline_timer tsc_known_freq tsc_reliable tsc_scale umip up v_spec_ctrl
  v_vmsave_vmload vgif virt_ssbd vmcb_clean vme vmmcall vmx vnmi vpid wbnoinvd wdt wp x2apic x2avic xtopology xtpr`.split(
    /\s+/,
  ),
);

/** The first paragraph of /proc/cpuinfo: the kernel tells the same features of every processor. */
const firstProcessor = (): string => {
  const fd = openSync('/proc/cpuinfo', 'r');
  try {
    const bytes = Buffer.alloc(MOST_CPUINFO);
    for (let filled = 0; ;) {
      const count = readSync(fd, bytes, filled, bytes.length - filled, null);
      filled += count;
      const text = bytes.toString('latin1', 0, filled);
      const end = text.indexOf('\n\n');
      if (end !== -1 || count === 0) return end === -1 ? text : text.slice(0, end);
    }
  } finally {
    closeSync(fd);
  }
};

/** What a processor's paragraph of /proc/cpuinfo says, on x86-64 or arm64. */
export const parseCpu = (paragraph: string, architecture: string): Machine['cpu'] => {
  const fields = new Map(
    paragraph.split('\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const field = (...names: string[]): string => names.map((name) => fields.get(name)).find(Boolean) ?? '';
  // On arm64 every word is a promise to programs, and `sme` is an instruction set rather than AMD's encryption of memory.
  const counts = (flag: string): boolean =>
    flag !== '' && (architecture === 'x86_64' ? !KERNEL_ONLY.has(flag) : flag !== 'cpuid');
  return {
    vendor: field('vendor_id', 'CPU implementer').slice(0, 200),
    family: field('cpu family', 'CPU architecture').slice(0, 200),
    model: field('model name', 'CPU part').slice(0, 200),
    features: [...new Set(field('flags', 'Features').split(/\s+/).filter(counts))].toSorted(),
  };
};

/** The auxiliary vector that the kernel gave this process: pairs of words. */
const auxiliary = (): Map<bigint, number> => {
  const bytes = readFileSync('/proc/self/auxv');
  const found = new Map<bigint, number>();
  for (let at = 0; at + 2 * WORD <= bytes.length; at += 2 * WORD)
    found.set(bytes.readBigUInt64LE(at), Number(bytes.readBigUInt64LE(at + WORD)));
  return found;
};

type Hardware = Pick<Machine, 'architecture' | 'cpu' | 'signalFrame' | 'pageSize' | 'kernel'>;

const readHardware = (): Hardware => {
  const vector = auxiliary();
  const architecture = machine();
  return {
    architecture,
    cpu: parseCpu(firstProcessor(), architecture),
    signalFrame: vector.get(AT_MINSIGSTKSZ) ?? 0,
    pageSize: vector.get(AT_PAGESZ) ?? 4096,
    kernel: release(),
  };
};

let hardware: Hardware | undefined;

/** This machine with CRIU's version and the format of snapshots that is written. Cheap after the first call. */
export const machineFingerprint = (software: { engine: string; format: number }): Machine => {
  hardware ??= readHardware();
  return { ...hardware, ...software };
};
