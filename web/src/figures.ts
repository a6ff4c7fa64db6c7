// How figures read.

import type { MinerReport, Verdict } from './wire'
import { w } from './words'

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

export function rate(tokensPerSecond: number | null | undefined): string {
  return tokensPerSecond ? `${tokensPerSecond.toFixed(0)} tok/s` : '–'
}

/** An address short enough to read: both its ends. */
export function short(address: string): string {
  return address.length > 16 ? `${address.slice(0, 8)}…${address.slice(-5)}` : address
}

/** A length of time for people: 42 s, 3 min, 2 h. */
export function span(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`
  if (seconds < 6000) return `${Math.ceil(seconds / 60)} min`
  return `${Math.ceil(seconds / 3600)} h`
}

/** An amount of nplx as PLX: at most six places, no zeros at the end. */
export function plx(nplx: string | number | null | undefined): string {
  if (nplx == null) return '–'
  const digits = String(nplx).replace(/[^0-9]/g, '').padStart(10, '0')
  const whole = digits.slice(0, -9).replace(/^0+(?=.)/, '')
  const part = digits.slice(-9, -3).replace(/0+$/, '')
  return `${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${part ? `.${part}` : ''} PLX`
}

export function verdict(m: MinerReport): string {
  return w.verdicts[m.verdict] ?? m.verdict
}

export type Tone = 'good' | 'bad' | 'dull'

export function tone(v: Verdict): Tone {
  if (v === 'accepted') return 'good'
  if (v === 'rejected' || v === 'worthless' || v === 'failed') return 'bad'
  return 'dull'
}
