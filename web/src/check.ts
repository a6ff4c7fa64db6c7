// Conversations from outside, from files, links and older pages, are checked
// field by field before they are taken in.

import { newID, titleOf, type Chat, type Settings, type State, type Turn } from './tree'
import { readReport, type Call } from './wire'
import { w } from './words'

/** A file or link that is not what it should be, and where. */
export class Unfit extends Error {}

const most = { chats: 20_000, turns: 20_000, text: 4_000_000, title: 500 }

type Loose = Record<string, unknown>

function object(v: unknown, where: string): Loose {
  if (!v || typeof v !== 'object' || Array.isArray(v)) throw new Unfit(w.unfit.object(where, kind(v)))
  return v as Loose
}

function array(v: unknown, where: string, limit: number): unknown[] {
  if (!Array.isArray(v)) throw new Unfit(w.unfit.list(where, kind(v)))
  if (v.length > limit) throw new Unfit(w.unfit.many(where, v.length, limit))
  return v
}

function words(v: unknown, where: string, limit = most.text): string {
  if (typeof v !== 'string') throw new Unfit(w.unfit.text(where, kind(v)))
  if (v.length > limit) throw new Unfit(w.unfit.long(where, v.length, limit))
  return v
}

const kind = (v: unknown) => (v === null ? 'null' : v === undefined ? w.unfit.nothing : Array.isArray(v) ? 'a list' : typeof v)
const figure = (v: unknown) => (typeof v === 'number' && Number.isFinite(v) ? v : undefined)

const states: State[] = ['waiting', 'writing', 'checking', 'done', 'stopped', 'failed']

function checkTurn(v: unknown, before: string, where: string): Turn {
  const t = object(v, where)
  const role = t.role
  if (role !== 'user' && role !== 'assistant' && role !== 'tool') throw new Unfit(w.unfit.role(where, JSON.stringify(role) ?? w.unfit.nothing))
  const state = states.includes(t.state as State) ? (t.state as State) : 'done'
  const turn: Turn = {
    id: t.id === undefined ? newID() : words(t.id, `${where}, id`, 100),
    parent: t.parent === undefined ? before : words(t.parent, `${where}, parent`, 100),
    role,
    content: words(t.content, `${where}, content`),
    at: figure(t.at) ?? 0,
    // An answer that was under way when its page closed ended there.
    state: role === 'assistant' && (state === 'waiting' || state === 'writing' || state === 'checking') ? (state === 'checking' ? 'done' : 'stopped') : state,
  }
  if (t.thought !== undefined) turn.thought = words(t.thought, `${where}, thought`)
  if (t.call !== undefined) turn.call = words(t.call, `${where}, call`, 200)
  if (t.calls !== undefined) turn.calls = array(t.calls, `${where}, calls`, 200).map((c) => checkCall(c, `${where}, calls`))
  if (typeof t.model === 'string') turn.model = t.model.slice(0, 200)
  if (typeof t.receipt === 'string') turn.receipt = t.receipt.slice(0, 200)
  for (const f of ['asked', 'tokens', 'prompt', 'seconds', 'from'] as const) if (figure(t[f]) !== undefined) turn[f] = figure(t[f])
  if (t.cut === true) turn.cut = true
  const report = readReport(t.report)
  if (report) turn.report = report
  const trouble = t.trouble as Loose | undefined
  if (typeof trouble?.message === 'string') turn.trouble = { message: trouble.message, kind: 'refused' }
  else if (typeof t.error === 'string') turn.trouble = { message: t.error, kind: 'refused' }
  return turn
}

function checkCall(v: unknown, where: string): Call {
  const c = object(v, where)
  return { id: words(c.id, where, 200), name: words(c.name, where, 200), arguments: words(c.arguments, where) }
}

function checkSettings(v: unknown): Settings | undefined {
  if (!v || typeof v !== 'object') return undefined
  return fill(v as Loose)
}

/** Settings with what is missing or strange filled in. */
export function fill(v: Loose): Settings {
  const text = (x: unknown) => (typeof x === 'string' ? x.slice(0, 200_000) : '')
  const within = (x: unknown, least: number, greatest: number, other: number) => Math.min(greatest, Math.max(least, figure(x) ?? other))
  return {
    model: text(v.model),
    miners: Math.round(within(v.miners, 1, 64, 3)),
    strategy: text(v.strategy) || 'first',
    by: text(v.by) || 'score',
    extract: text(v.extract) || 'auto',
    field: text(v.field),
    verifiedOnly: v.verifiedOnly === true,
    minScore: within(v.minScore, 0, 1, 0),
    system: text(v.system),
    temperature: within(v.temperature, 0, 2, 0.7),
    topP: figure(v.topP) === undefined ? null : within(v.topP, 0, 1, 1),
    maxTokens: Math.round(within(v.maxTokens, 1, 1_000_000, 512)),
    seed: Number.isSafeInteger(v.seed) ? (v.seed as number) : null,
    stop: text(v.stop),
    schema: text(v.schema),
    tools: text(v.tools),
  }
}

/** A conversation out of what may be one, or throws [Unfit]. */
export function checkChat(v: unknown, where: string): Chat {
  const c = object(v, where)
  const turns: Turn[] = []
  const known = new Set<string>([''])
  array(c.turns, `${where}, turns`, most.turns).forEach((one, i) => {
    const place = w.unfit.turn(where, i + 1)
    const turn = checkTurn(one, turns.at(-1)?.id ?? '', place)
    if (known.has(turn.id)) throw new Unfit(w.unfit.twice(place, turn.id))
    // A turn stands under an earlier one, so no path can run in a circle.
    if (!known.has(turn.parent)) throw new Unfit(w.unfit.orphan(place, turn.parent))
    known.add(turn.id)
    turns.push(turn)
  })
  const picks: Record<string, string> = {}
  for (const [under, pick] of Object.entries((c.picks ?? {}) as Loose)) {
    if (known.has(under) && typeof pick === 'string' && known.has(pick)) picks[under] = pick
  }
  const updated = figure(c.updated) ?? Date.now()
  return {
    id: c.id === undefined ? newID() : words(c.id, `${where}, id`, 100),
    title: c.title === undefined ? titleOf(turns[0]?.content ?? '') : words(c.title, `${where}, title`, most.title),
    created: figure(c.created) ?? updated,
    updated,
    pinned: c.pinned === true,
    turns,
    picks,
    settings: checkSettings(c.settings),
  }
}

/** The conversations of an exported file's text, or throws [Unfit]. */
export function checkFile(text: string): Chat[] {
  let v: unknown
  try {
    v = JSON.parse(text)
  } catch (e) {
    throw new Unfit(w.unfit.json(e instanceof Error ? e.message : String(e)))
  }
  const file = object(v, w.unfit.file)
  if (file.format !== 'plexus.chats') throw new Unfit(w.unfit.format(JSON.stringify(file.format) ?? w.unfit.nothing))
  if (file.version !== 1) throw new Unfit(w.unfit.version(JSON.stringify(file.version) ?? w.unfit.nothing))
  return array(file.chats, w.unfit.file, most.chats).map((c, i) => checkChat(c, w.unfit.chat(i + 1)))
}
