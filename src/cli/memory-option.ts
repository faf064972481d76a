import { Option } from 'commander';
import type { MemoryChoice } from '../api/index.ts';

/** Named here too, because loading the schemas takes longer than most verbs do. */
const CHOICES = ['auto', 'layer', 'lazy', 'copy'] satisfies MemoryChoice[];

/** How memory comes back: `run` says it for each wake to come, `wake` for one. */
export const memoryOption = (): Option =>
  new Option('--memory <mode>', 'how saved memory comes back (default: the fastest that is correct)').choices(
    CHOICES,
  );
