// How figures read.

import type { MinerReport, Verdict } from './api'

export function ms(value: number | null | undefined): string {
  if (value == null) return '–'
  if (value < 1000) return `${Math.round(value)} ms`
  return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`
}

export function score(value: number | null | undefined): string {
  return value == null ? '–' : value.toFixed(2)
}

export function percent(share: number): string {
  const p = share * 100
  return p === 0 ? '0 %' : `${p < 10 ? p.toFixed(1) : p.toFixed(0)} %`
}

export function count(n: number): string {
  return n.toLocaleString('en')
}

/** An address short enough to read: both its ends. */
export function short(address: string): string {
  return address.length > 16 ? `${address.slice(0, 8)}…${address.slice(-5)}` : address
}

const verdicts: Record<Verdict, string> = {
  accepted: 'accepted',
  rejected: 'rejected',
  worthless: 'no use',
  unchecked: 'not checked',
  pending: 'at work',
  failed: 'failed',
  cancelled: 'stopped',
}

export function verdict(m: MinerReport): string {
  return verdicts[m.verdict]
}

export type Tone = 'good' | 'bad' | 'dull'

export function tone(v: Verdict): Tone {
  if (v === 'accepted') return 'good'
  if (v === 'rejected' || v === 'worthless' || v === 'failed') return 'bad'
  return 'dull'
}
