// What the gateway says, and how it is asked. The page uses only what every
// other client may use.

export interface Peer {
  uid: number
  account: string
  peer: string
}

export type Verdict = 'accepted' | 'rejected' | 'worthless' | 'unchecked' | 'pending' | 'failed' | 'cancelled'

/** One miner's part in an answer. */
export interface MinerReport extends Peer {
  score: number | null
  standing: number
  latency_ms: number | null
  total_ms: number | null
  tokens: number
  verdict: Verdict
  reason: string
  chosen: boolean
  content?: string
}

/** How an answer came about. */
export interface Report {
  request_id: string
  strategy: Strategy
  why: string
  subnet: number
  height: number
  validator: Peer
  miners: MinerReport[]
}

export type Strategy = 'first' | 'best'

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
  height: number
  running: number
  subnets: Subnet[]
}

export interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

export interface Question {
  model: string
  messages: Message[]
  temperature: number
  max_tokens: number
  miners: number
  strategy: Strategy
}

/** What a stream tells, as it comes. */
export interface Listener {
  text(piece: string): void
  report(report: Report): void
  finish(reason: string): void
  usage(tokens: number): void
}

/** An error that the gateway put into words. */
export class Refusal extends Error {}

export async function network(signal: AbortSignal): Promise<Network> {
  const res = await fetch('/api/network', { signal })
  if (!res.ok) throw new Refusal(`the gateway answers ${res.status}`)
  return res.json()
}

/** Asks, and tells the listener all of the answer. */
export async function ask(q: Question, to: Listener, signal: AbortSignal): Promise<void> {
  const { miners, strategy, ...rest } = q
  const res = await fetch('/v1/chat/completions', {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...rest,
      stream: true,
      stream_options: { include_usage: true },
      plexus: { miners, strategy, verdict: true, answers: true },
    }),
  })
  if (!res.ok || !res.body) throw await refusal(res)
  let ended = false
  for await (const data of events(res.body)) {
    if (data === '[DONE]') {
      ended = true
      break
    }
    const chunk = JSON.parse(data)
    if (chunk.error) throw new Refusal(chunk.error.message)
    const choice = chunk.choices?.[0]
    if (choice?.delta?.content) to.text(choice.delta.content)
    if (choice?.finish_reason) to.finish(choice.finish_reason)
    if (chunk.usage) to.usage(chunk.usage.completion_tokens)
    if (chunk.plexus) to.report(chunk.plexus)
  }
  if (!ended) throw new Refusal('The connection broke before the end of the answer.')
}

async function refusal(res: Response): Promise<Refusal> {
  try {
    return new Refusal((await res.json()).error.message)
  } catch {
    return new Refusal(`The gateway answered ${res.status}.`)
  }
}

/** The data of each server-sent event. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let rest = ''
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      rest += value
      for (let at = rest.indexOf('\n\n'); at >= 0; at = rest.indexOf('\n\n')) {
        const event = rest.slice(0, at)
        rest = rest.slice(at + 2)
        const data = event
          .split('\n')
          .filter((line) => line.startsWith('data: '))
          .map((line) => line.slice(6))
          .join('\n')
        if (data) yield data
      }
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}
