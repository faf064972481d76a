/** The figures of the policy, each with what it is good for. Times are milliseconds. docs/scheduler.md tells how they act together. */
export interface Tuning {
  /** A program that uses more of a core than this is at work, even without requests. */
  readonly busyCores: number;
  /** How far an idle time is stretched for an application that is woken again and again: times this, at most. */
  readonly longestPatience: number;
  /** Nothing is heard of a decision for this long: it is taken as lost. */
  readonly decisionLost: number;
  /** An application stays awake at least so long before another of its priority, or one of a higher, takes its room. */
  readonly stayShortest: number;
  readonly stayLongest: number;
  readonly stayLower: number;
  /** The part of the processors that changing places among equals may use. */
  readonly switchingShare: number;
  /** What a wake and a sleep take as long as none was measured. */
  readonly wakeUsual: number;
  readonly sleepUsual: number;
  /** Room is kept ready for so many wakes of the usual size, in at most this part of all memory. */
  readonly readyWakes: number;
  readonly readyShare: number;
  /** And for so long after the last request for a wake. */
  readonly readyFor: number;
  /** Idle for so long is idle enough to keep room ready with. */
  readonly idleEnough: number;
  /** Another reason for the same wait is told after so long at the earliest. */
  readonly holdAgain: number;
  /** How long room is set aside for a wake that waits for others to have had their stay. */
  readonly setAside: number;
  /** An application's memory is taken to grow to what is expected for so long after its wake. */
  readonly settling: number;
  /** Pressure, in percent, from which memory is short though it does not look so, and how long to wait for the effect of a sleep. */
  readonly memorySomeHigh: number;
  readonly memoryFullHigh: number;
  readonly pressureWait: number;
  /** Pressure, in percent, from which processors are short, and below which they no longer are. */
  readonly cpuHigh: number;
  readonly cpuLow: number;
  /** Whoever computes so long after the last packet that counts does it without a request. */
  readonly unaskedFor: number;
  /** Between two freezes for want of processors; how long one lasts at least and at most; how long its turn is after that. */
  readonly cpuWait: number;
  readonly cpuFrozenShortest: number;
  readonly cpuFrozenLongest: number;
  readonly cpuTurn: number;
  /** An application that was put to sleep at work is brought back after so long at the earliest, twice that the next time, ... */
  readonly owedShortest: number;
  readonly owedLongest: number;
  /** A service is overloaded when it is so for so long; when responses take so many times their own usual; at this rate at least. */
  readonly overFor: number;
  readonly overTimes: number;
  /** Responses that take so long are slow where nobody knows what is usual. */
  readonly overUnknown: number;
  readonly overRate: number;
  /** The part of an instance's processor limit from which it is full, and that those which stay may have when one goes. */
  readonly cpuFull: number;
  readonly cpuAfter: number;
  /** The part of the rate at which it was last overloaded that an instance may have when another goes. */
  readonly rateAfter: number;
  /** Between two steps up: this, and twice as long after each that did not help. */
  readonly outWait: number;
  readonly outWaitLongest: number;
  /** A service is calm for so long before an instance goes; twice as long after each that was missed again. */
  readonly calmFor: number;
  readonly calmLongest: number;
  /** An instance that still has requests is put to sleep all the same after so long: its connections survive that. */
  readonly drainLongest: number;
  /** How many instances made from a template are kept asleep as spares. */
  readonly spares: number;
}

export const TUNING: Tuning = {
  busyCores: 0.02,
  longestPatience: 8,
  decisionLost: 10_000,
  stayShortest: 500,
  stayLongest: 10_000,
  stayLower: 250,
  switchingShare: 0.5,
  wakeUsual: 25,
  sleepUsual: 250,
  readyWakes: 2,
  readyShare: 1 / 4,
  readyFor: 60_000,
  idleEnough: 500,
  holdAgain: 1000,
  setAside: 5000,
  settling: 5000,
  memorySomeHigh: 20,
  memoryFullHigh: 5,
  pressureWait: 3000,
  cpuHigh: 50,
  cpuLow: 20,
  unaskedFor: 5000,
  cpuWait: 3000,
  cpuFrozenShortest: 5000,
  cpuFrozenLongest: 60_000,
  cpuTurn: 15_000,
  owedShortest: 5000,
  owedLongest: 320_000,
  overFor: 2000,
  overTimes: 3,
  overUnknown: 300,
  overRate: 5,
  cpuFull: 0.9,
  cpuAfter: 0.6,
  rateAfter: 0.6,
  outWait: 5000,
  outWaitLongest: 80_000,
  calmFor: 30_000,
  calmLongest: 480_000,
  drainLongest: 60_000,
  spares: 1,
};
