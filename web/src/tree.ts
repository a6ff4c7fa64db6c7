// A conversation is a tree: every turn stands under the one it follows, and
// where a prompt was edited or an answer asked for again, several stand under
// one. What is shown is one path from the root down.

import type { Call, Report } from './wire'

export type State = 'waiting' | 'writing' | 'checking' | 'done' | 'stopped' | 'failed'

/** What went wrong, and what the page can offer about it. */
export interface Trouble {
  message: string
  kind: 'refused' | 'busy' | 'key' | 'network'
  until?: number // Unix milliseconds at which asking again makes sense
}

export interface Turn {
  id: string
  parent: string // the turn before; '' at the start
  role: 'user' | 'assistant' | 'tool'
  content: string
  at: number // Unix milliseconds
  state: State
  call?: string // of a tool's turn: which call it answers
  // Of the assistant's turns:
  thought?: string // its reasoning
  calls?: Call[]
  model?: string
  asked?: number // miners
  trouble?: Trouble
  report?: Report
  receipt?: string
  tokens?: number
  prompt?: number // tokens of the prompt
  seconds?: number
  cut?: boolean // ended by the limit of tokens
  from?: number // taken over by hand from the miner of this uid
}

export interface Settings {
  model: string
  miners: number
  strategy: string
  by: string // what best-of-k ranks by
  extract: string // what of an answer votes
  field: string // of a JSON answer, the field that votes
  verifiedOnly: boolean
  minScore: number // 0 means any
  system: string
  temperature: number
  topP: number | null // null leaves it to the model
  maxTokens: number
  seed: number | null // null means a new one each time
  stop: string // one text a line
  schema: string // a JSON schema, or nothing
  tools: string // a JSON list of tools, or nothing
}

export interface Chat {
  id: string
  title: string
  created: number
  updated: number
  pinned: boolean
  turns: Turn[]
  picks: Record<string, string> // under each turn, the one that is shown
  settings?: Settings
}

export function newID(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) => b.toString(36).padStart(2, '0')).join('')
}

export function titleOf(words: string): string {
  const line = words.trim().split('\n')[0] ?? ''
  return line.length > 60 ? line.slice(0, 57).trimEnd() + '…' : line
}

/** The turns that are shown, from the first to the last. */
export function path(chat: Chat): Turn[] {
  const under = new Map<string, Turn[]>()
  for (const t of chat.turns) {
    const all = under.get(t.parent)
    if (all) all.push(t)
    else under.set(t.parent, [t])
  }
  const out: Turn[] = []
  for (let at = ''; ; ) {
    const all = under.get(at)
    if (!all || out.length > chat.turns.length) return out
    const next = all.find((t) => t.id === chat.picks[at]) ?? all.at(-1)!
    out.push(next)
    at = next.id
  }
}

/** The turns that stand beside a turn, itself included, in order of age. */
export function siblings(chat: Chat, turn: Turn): Turn[] {
  return chat.turns.filter((t) => t.parent === turn.parent)
}

/** Adds a turn and shows it. */
export function grow(chat: Chat, turn: Turn): void {
  chat.turns.push(turn)
  chat.picks[turn.parent] = turn.id
}

/** Removes a turn with all that follows it. */
export function prune(chat: Chat, id: string): void {
  const gone = new Set([id])
  for (let before = 0; before !== gone.size; ) {
    before = gone.size
    for (const t of chat.turns) if (gone.has(t.parent)) gone.add(t.id)
  }
  chat.turns = chat.turns.filter((t) => !gone.has(t.id))
  for (const [under, pick] of Object.entries(chat.picks)) if (gone.has(under) || gone.has(pick)) delete chat.picks[under]
}

/** An answer that writes its reasoning between <think> and </think>, in two. */
export function unfold(text: string): { thought: string; answer: string; open: boolean } {
  const begun = /^\s*<think>/.exec(text)
  if (!begun) return { thought: '', answer: text, open: false }
  const rest = text.slice(begun[0].length)
  const end = rest.indexOf('</think>')
  if (end < 0) return { thought: rest.trim(), answer: '', open: true }
  return { thought: rest.slice(0, end).trim(), answer: rest.slice(end + 8).trimStart(), open: false }
}
