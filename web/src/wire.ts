// What the gateway says, as this page understands it. Fields that a gateway
// does not send yet, or no longer sends, are missing and nothing breaks.

export interface Peer {
  uid: number
  account: string
  peer?: string
}

export type Verdict = 'accepted' | 'rejected' | 'worthless' | 'unchecked' | 'pending' | 'failed' | 'cancelled'

/** One miner's part in an answer. */
export interface MinerReport extends Peer {
  score: number | null
  standing: number
  latency_ms: number | null
  total_ms: number | null
  tokens: number
  tokens_per_s?: number
  verdict: Verdict
  reason: string
  chosen: boolean
  content?: string
  vote?: string
  judge?: boolean // it was asked about the others' answers
}

export interface Vote {
  answer: string
  weight: number
  miners: number[]
}

export interface Resumed {
  from_uid: number
  to_uid: number
  at_token: number
  gap_ms: number | null // null when nothing came
}

/** How an answer came about. */
export interface Report {
  request_id: string
  model?: string
  strategy: string
  why: string
  subnet: number
  height: number
  validator: Peer
  miners: MinerReport[]
  votes?: Vote[]
  resumed?: Resumed[]
  receipt?: string // its id
}

export const strategies = ['first', 'best', 'best-of-k', 'vote', 'merge'] as const
export type Strategy = (typeof strategies)[number]

/** What best-of-k ranks by, and what of an answer votes. */
export const rankings = ['score', 'logprob', 'judge'] as const
export const extracts = ['auto', 'exact', 'number', 'last-line', 'json'] as const

export interface Standing extends Peer {
  score: number
  incentive: number
  latency_ms: number | null
  rate: number
  alive: boolean
  in_flight: number
  reason: string
}

export interface Subnet {
  netuid: number
  model: string
  context: number
  max_tokens: number
  validator: Peer
  miners: Standing[]
}

export interface Network {
  chain_id?: string
  height: number
  running: number
  subnets: Subnet[]
}

/** A model with its live figures, as far as they are known. */
export interface Model {
  id: string
  context?: number
  subnet?: number
  miners?: number
  proven?: number
  score?: number
  speed?: Quantiles // tokens per second
  first?: Quantiles // milliseconds to the first token
  precision?: string
}

export interface Quantiles {
  p50?: number
  p95?: number
}

export interface Call {
  id: string
  name: string
  arguments: string
}

export interface Message {
  role: 'system' | 'user' | 'assistant' | 'tool'
  content: string
  tool_calls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[]
  tool_call_id?: string
}

type Loose = Record<string, unknown>
const number = (v: unknown) => (typeof v === 'number' && Number.isFinite(v) ? v : undefined)
const text = (v: unknown) => (typeof v === 'string' ? v : undefined)
const list = (v: unknown): Loose[] => (Array.isArray(v) ? v.filter((x) => x && typeof x === 'object') : [])

/** Reads the field "plexus" of an answer; undefined when it tells of no miner. */
export function readReport(raw: unknown): Report | undefined {
  const r = raw as Loose | null
  if (!r || typeof r !== 'object' || !Array.isArray(r.miners)) return undefined
  const receipt = r.receipt as Loose | string | undefined
  const validator = (r.validator ?? {}) as Loose
  return {
    request_id: text(r.request_id) ?? '',
    model: text(r.model),
    strategy: text(r.strategy) ?? '',
    why: text(r.why) ?? '',
    subnet: number(r.subnet) ?? 0,
    height: number(r.height) ?? 0,
    validator: { uid: number(validator.uid) ?? 0, account: text(validator.account) ?? '', peer: text(validator.peer) },
    miners: list(r.miners).map(readMiner),
    votes: Array.isArray(r.votes)
      ? list(r.votes).map((v) => ({ answer: text(v.answer) ?? '', weight: number(v.weight) ?? 0, miners: (Array.isArray(v.miners) ? v.miners : []).filter((u) => number(u) != null) as number[] }))
      : undefined,
    resumed: Array.isArray(r.resumed)
      ? list(r.resumed).map((s) => ({ from_uid: number(s.from_uid) ?? 0, to_uid: number(s.to_uid) ?? 0, at_token: number(s.at_token) ?? 0, gap_ms: number(s.gap_ms) ?? null }))
      : undefined,
    receipt: typeof receipt === 'string' ? receipt : (text(receipt?.id) ?? undefined),
  }
}

function readMiner(m: Loose): MinerReport {
  return {
    uid: number(m.uid) ?? 0,
    account: text(m.account) ?? '',
    peer: text(m.peer),
    score: number(m.score) ?? null,
    standing: number(m.standing) ?? 0,
    latency_ms: number(m.latency_ms) ?? null,
    total_ms: number(m.total_ms) ?? null,
    tokens: number(m.tokens) ?? 0,
    tokens_per_s: number(m.tokens_per_s) ?? speed(m),
    verdict: (text(m.verdict) ?? 'unchecked') as Verdict,
    reason: text(m.reason) ?? '',
    chosen: m.chosen === true,
    content: text(m.content) ?? text(m.text),
    vote: text(m.vote),
    judge: m.judge === true || m.role === 'judge' || undefined,
  }
}

/** Tokens per second after the first, when the gateway does not tell. */
function speed(m: Loose): number | undefined {
  const tokens = number(m.tokens) ?? 0
  const took = (number(m.total_ms) ?? 0) - (number(m.latency_ms) ?? 0)
  return tokens > 1 && took > 0 ? ((tokens - 1) * 1000) / took : undefined
}

function quantiles(v: unknown): Quantiles | undefined {
  if (number(v) != null) return { p50: v as number }
  const q = v as Loose | null
  if (!q || typeof q !== 'object') return undefined
  const out = { p50: number(q.p50), p95: number(q.p95) }
  return out.p50 == null && out.p95 == null ? undefined : out
}

/** Reads GET /v1/models. */
export function readModels(raw: unknown): Model[] {
  return list((raw as Loose | null)?.data)
    .filter((m) => text(m.id))
    .map((m) => {
      const p = (m.plexus ?? {}) as Loose
      const miners = Array.isArray(p.miners) ? p.miners.length : number(p.miners)
      return {
        id: m.id as string,
        context: number(m.max_model_len),
        subnet: number(p.subnet),
        miners,
        proven: number(p.proven),
        score: number(p.score),
        speed: quantiles(p.tokens_per_second ?? p.tokens_per_s),
        first: quantiles(p.ttft_ms),
        precision: text(p.precision),
      }
    })
}
