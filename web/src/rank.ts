// In which order miners are shown.

import type { MinerReport, Report, Vote } from './wire'

/** The given answer first, then by score, then by how soon text came. */
export function ranked(miners: MinerReport[]): MinerReport[] {
  return [...miners].sort((a, b) => Number(b.chosen) - Number(a.chosen) || (b.score ?? -1) - (a.score ?? -1) || (a.latency_ms ?? 1e9) - (b.latency_ms ?? 1e9))
}

/** What a miner voted for, if votes were counted. */
export function voteOf(report: Report, m: MinerReport): Vote | undefined {
  return report.votes?.find((v) => v.miners.includes(m.uid) || (m.vote !== undefined && v.answer === m.vote))
}
