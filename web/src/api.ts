// How the gateway is asked. The page uses only what every other client may use.

import type { Settings, Trouble } from './tree'
import { readModels, readReport, type Call, type Message, type Model, type Network, type Report } from './wire'
import { w } from './words'

/** What the gateway refused, in its own words. */
export class Refusal extends Error {
  status: number
  code: string
  wait: number // seconds until asking again makes sense; 0 when it does not say
  constructor(message: string, status = 0, code = '', wait = 0) {
    super(message)
    this.status = status
    this.code = code
    this.wait = wait
  }
}

const keyName = 'plexus.key'

/** The API key, which this browser alone keeps. */
export const key = {
  get: () => {
    try {
      return localStorage.getItem(keyName) ?? ''
    } catch {
      return ''
    }
  },
  set: (value: string) => (value ? localStorage.setItem(keyName, value) : localStorage.removeItem(keyName)),
}

/** Calls the gateway and throws a [Refusal] unless all is well. */
export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  if (key.get()) headers.set('authorization', `Bearer ${key.get()}`)
  if (init.body) headers.set('content-type', 'application/json')
  const res = await fetch(path, { ...init, headers })
  if (!res.ok) throw await refusal(res)
  return res
}

async function refusal(res: Response): Promise<Refusal> {
  const wait = Number(res.headers.get('retry-after-ms')) / 1000 || Number(res.headers.get('retry-after')) || 0
  try {
    const { error } = await res.json()
    return new Refusal(String(error.message), res.status, String(error.code ?? ''), wait)
  } catch {
    return new Refusal(w.trouble.status(res.status), res.status, '', wait)
  }
}

/** Turns whatever was thrown into what a user can do about it. */
export function trouble(e: unknown): Trouble {
  if (!(e instanceof Refusal)) return { kind: 'network', message: navigator.onLine ? w.trouble.unreachable : w.trouble.offline }
  if (e.status === 429 || (e.status === 503 && e.wait)) return { kind: 'busy', message: e.message, until: e.wait ? Date.now() + 1000 * e.wait : undefined }
  return { kind: e.status === 401 || e.status === 403 ? 'key' : 'refused', message: e.message }
}

export async function network(signal?: AbortSignal): Promise<Network> {
  return (await call('/api/network', { signal })).json()
}

export async function models(signal?: AbortSignal): Promise<Model[]> {
  return readModels(await (await call('/v1/models', { signal })).json())
}

/** What a stream tells, as it comes. */
export interface Listener {
  text(piece: string): void
  thought(piece: string): void
  calls(calls: Call[]): void
  report(report: Report): void
  receipt(id: string): void
  finish(reason: string): void
  usage(completion: number, prompt: number): void
}

/** The body of a request for an answer; throws a [Refusal] for settings that cannot be sent. */
export function question(s: Settings, messages: Message[]): Record<string, unknown> {
  const stop = s.stop.split('\n').filter((line) => line !== '')
  return {
    model: s.model,
    messages,
    temperature: s.temperature,
    max_tokens: s.maxTokens,
    ...(s.topP != null && { top_p: s.topP }),
    ...(s.seed != null && { seed: s.seed }),
    ...(stop.length && { stop }),
    ...(s.schema.trim() && { response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: parsed(s.schema, w.settings.schema) } } }),
    ...(s.tools.trim() && { tools: parsed(s.tools, w.settings.tools) }),
    stream: true,
    stream_options: { include_usage: true },
    plexus: {
      miners: s.miners,
      strategy: s.strategy,
      ...(s.verifiedOnly && { verified_only: true }),
      ...(s.minScore > 0 && { min_score: s.minScore }),
      ...(s.strategy === 'best-of-k' && { by: s.by }),
      ...(s.strategy === 'vote' && { extract: s.extract, ...(s.extract === 'json' && s.field.trim() && { field: s.field.trim() }) }),
      verdict: true,
      candidates: true,
    },
  }
}

function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (e) {
    throw new Refusal(w.settings.notJSON(what, e instanceof Error ? e.message : ''))
  }
}

/** Asks, and tells the listener all of the answer. */
export async function ask(body: Record<string, unknown>, to: Listener, signal: AbortSignal): Promise<void> {
  const res = await call('/v1/chat/completions', { method: 'POST', signal, body: JSON.stringify(body) })
  const receipt = res.headers.get('x-receipt-id')
  if (receipt) to.receipt(receipt)
  const calls: Call[] = []
  let ended = false
  for await (const data of events(res.body!)) {
    if (data === '[DONE]') {
      ended = true
      break
    }
    const chunk = JSON.parse(data)
    if (chunk.error) throw new Refusal(chunk.error.message, 0, chunk.error.code)
    hear(chunk, calls, to)
  }
  if (!ended) throw new Refusal(w.trouble.broken)
}

/** Tells what one chunk says. It is JSON of a server, so every field may be missing. */
function hear(chunk: any, calls: Call[], to: Listener) {
  const choice = chunk.choices?.[0]
  const delta = choice?.delta
  if (delta?.content) to.text(delta.content)
  const thought = delta?.reasoning_content ?? delta?.reasoning
  if (typeof thought === 'string' && thought) to.thought(thought)
  if (delta?.tool_calls?.length) {
    for (const part of delta.tool_calls) gather(calls, part)
    to.calls(calls.filter(Boolean).map((c) => ({ ...c })))
  }
  if (choice?.finish_reason) to.finish(choice.finish_reason)
  if (chunk.usage) to.usage(chunk.usage.completion_tokens ?? 0, chunk.usage.prompt_tokens ?? 0)
  const report = readReport(chunk.plexus)
  if (report) to.report(report)
  const receipt = report?.receipt ?? chunk.receipt?.id ?? chunk.receipt
  if (typeof receipt === 'string') to.receipt(receipt)
}

/** Adds a fragment of a tool call: the first carries its id and name. */
function gather(calls: Call[], part: { index?: number; id?: string; function?: { name?: string; arguments?: string } }) {
  const at = Math.min(part.index ?? 0, 127)
  const one = (calls[at] ??= { id: '', name: '', arguments: '' })
  one.id ||= part.id ?? ''
  one.name ||= part.function?.name ?? ''
  one.arguments += part.function?.arguments ?? ''
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
