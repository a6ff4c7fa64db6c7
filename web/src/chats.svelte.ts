// Conversations, as they are shown and changed.

import { ask, question, trouble } from './api'
import { fill } from './check'
import * as store from './store'
import { grow, newID, path, prune, siblings, titleOf, unfold, type Chat, type Settings, type Turn } from './tree'
import type { Call, Message } from './wire'

const settingsStore = 'plexus.settings'
const saveEvery = 300 // milliseconds between saves of an answer that grows

class Chats {
  list = $state<Chat[]>([])
  open = $state('')
  loaded = $state(false)
  unkept = $state('') // why conversations cannot be kept, or nothing
  defaults = $state<Settings>(loadSettings())
  path = $derived.by(() => (this.current ? path(this.current) : []))
  #running = new Map<string, AbortController>() // by conversation
  #late = new Map<string, ReturnType<typeof setTimeout>>() // saves to come
  #others = new BroadcastChannel('plexus') // the other tabs

  constructor() {
    this.#others.onmessage = (e) => void this.#heard(String(e.data))
    void this.#load()
  }

  async #load() {
    try {
      const kept = await store.all()
      const here = new Set(this.list.map((c) => c.id))
      for (const c of kept) {
        c.settings &&= fill({ ...c.settings })
        for (const t of c.turns) if (['waiting', 'writing', 'checking'].includes(t.state)) t.state = t.state === 'checking' ? 'done' : 'stopped'
      }
      this.list.push(...kept.filter((c) => !here.has(c.id)))
      this.#sort()
    } catch (e) {
      this.unkept = e instanceof Error ? e.message : String(e)
    }
    this.loaded = true
  }

  /** Takes over what another tab changed; what is being answered here stays. */
  async #heard(id: string) {
    if (this.#running.has(id)) return
    const kept = await store.find(id).catch(() => undefined)
    const at = this.list.findIndex((c) => c.id === id)
    if (kept && at >= 0) this.list[at] = kept
    else if (kept) this.list.push(kept)
    else if (at >= 0) this.#remove(id)
    this.#sort()
  }

  #sort() {
    this.list.sort((a, b) => Number(b.pinned) - Number(a.pinned) || b.updated - a.updated)
  }

  #remove(id: string) {
    this.list = this.list.filter((c) => c.id !== id)
    if (this.open === id) this.open = ''
  }

  get current(): Chat | undefined {
    return this.list.find((c) => c.id === this.open)
  }

  /** The settings that the next answer is asked for with. */
  get settings(): Settings {
    return this.current?.settings ?? this.defaults
  }

  get busy(): boolean {
    const last = this.path.at(-1)
    return last?.state === 'waiting' || last?.state === 'writing'
  }

  /** Starts a conversation; it is kept once something was said. */
  fresh() {
    this.open = ''
  }

  drop(id: string) {
    this.#running.get(id)?.abort()
    clearTimeout(this.#late.get(id))
    this.#late.delete(id)
    this.#remove(id)
    store.forget(id).then(() => this.#others.postMessage(id), this.#failed)
  }

  rename(chat: Chat, title: string) {
    if (title.trim()) chat.title = title.trim().slice(0, 200)
    this.save(chat)
  }

  pin(chat: Chat) {
    chat.pinned = !chat.pinned
    this.#sort()
    this.save(chat)
  }

  /** Takes in conversations from a file. What is here already is never overwritten. */
  async take(chats: Chat[]): Promise<number> {
    const mine = new Map(this.list.map((c) => [c.id, said(c)]))
    const fresh: Chat[] = []
    for (const c of chats) {
      const same = mine.get(c.id)
      if (same === said(c)) continue
      const one = same === undefined ? c : { ...c, id: newID() }
      mine.set(one.id, said(one))
      fresh.push(one)
    }
    await store.keep(...fresh)
    this.list.push(...fresh)
    this.#sort()
    fresh.forEach((c) => this.#others.postMessage(c.id))
    return fresh.length
  }

  stop() {
    this.#running.get(this.open)?.abort()
  }

  /** Says something at the end of what is shown. */
  async say(words: string) {
    let chat = this.current
    if (!chat) {
      const now = Date.now()
      this.list.unshift({ id: newID(), title: titleOf(words), created: now, updated: now, pinned: false, turns: [], picks: {}, settings: { ...$state.snapshot(this.defaults) } })
      chat = this.list[0]!
      this.open = chat.id
    }
    const turn = user(words, this.path.at(-1)?.id ?? '')
    grow(chat, turn)
    await this.#answer(chat, turn.id)
  }

  /** Says something else in place of a turn, on a branch of its own. */
  async edit(turn: Turn, words: string) {
    const chat = this.current
    if (!chat) return
    const other = user(words, turn.parent)
    grow(chat, other)
    await this.#answer(chat, other.id)
  }

  /** Asks for another answer beside this one. */
  async retry(turn: Turn) {
    const chat = this.current
    if (!chat) return
    if (turn.state === 'failed' && !turn.content) prune(chat, turn.id)
    await this.#answer(chat, turn.parent)
  }

  /** Gives the results of tool calls. */
  async results(turn: Turn, results: { call: string; content: string }[]) {
    const chat = this.current
    if (!chat) return
    let parent = turn.id
    for (const r of results) {
      const one: Turn = { ...user(r.content, parent), role: 'tool', call: r.call }
      grow(chat, one)
      parent = one.id
    }
    await this.#answer(chat, parent)
  }

  /** Takes another miner's answer in place of the given one. */
  adopt(turn: Turn, uid: number, content: string) {
    const chat = this.current
    if (!chat) return
    const other: Turn = { ...$state.snapshot(turn), id: newID(), at: Date.now(), content, thought: undefined, calls: undefined, tokens: undefined, seconds: undefined, state: 'done', from: uid }
    grow(chat, other)
    this.save(chat)
  }

  /** Shows the branch that is so many places before or after a turn's own. */
  turnTo(turn: Turn, by: number) {
    const chat = this.current
    if (!chat) return
    const all = siblings(chat, turn)
    const next = all[all.findIndex((t) => t.id === turn.id) + by]
    if (next) chat.picks[turn.parent] = next.id
    this.save(chat)
  }

  /** Answers what stands under parent. */
  async #answer(chat: Chat, parent: string) {
    this.#running.get(chat.id)?.abort()
    const s = $state.snapshot(chat.settings ?? this.defaults)
    const id = newID()
    const asked = s.model
    chat.picks[parent] = id
    chat.turns.push({ id, parent, role: 'assistant', content: '', at: Date.now(), state: 'waiting', model: asked, asked: s.miners })
    const turn = chat.turns.at(-1)! // the one that is watched
    const messages = messagesOf(chat, id, s.system)
    chat.updated = Date.now()
    this.#sort()
    this.save(chat)

    const control = new AbortController()
    this.#running.set(chat.id, control)
    const began = performance.now()
    let raw = ''
    let told = '' // reasoning that came beside the text
    try {
      await ask(
        question(s, messages),
        {
          text: (piece) => {
            raw += piece
            const parts = unfold(raw)
            turn.state = 'writing'
            turn.content = parts.answer
            if (told + parts.thought) turn.thought = told + parts.thought
            this.#saveLater(chat)
          },
          thought: (piece) => {
            turn.state = 'writing'
            told += piece
            turn.thought = told
            this.#saveLater(chat)
          },
          calls: (calls) => {
            turn.state = 'writing'
            turn.calls = calls
          },
          finish: (reason) => {
            turn.state = 'checking'
            turn.cut = reason === 'length'
            turn.seconds = (performance.now() - began) / 1000
          },
          usage: (completion, prompt) => {
            turn.tokens = completion
            turn.prompt = prompt
          },
          report: (report) => (turn.report = report),
          receipt: (receipt) => (turn.receipt = receipt),
        },
        control.signal,
      )
      turn.state = 'done'
    } catch (e) {
      if (control.signal.aborted) turn.state = turn.state === 'checking' ? 'done' : 'stopped'
      else {
        turn.state = 'failed'
        turn.trouble = trouble(e)
      }
    } finally {
      if (this.#running.get(chat.id) === control) this.#running.delete(chat.id)
      this.save(chat)
    }
  }

  /** What an answer was asked for with, if the settings are as they were. */
  asked(turn: Turn): Message[] | undefined {
    const chat = this.current
    return chat?.turns.some((t) => t.id === turn.id) ? messagesOf(chat, turn.id, chat.settings?.system ?? '') : undefined
  }

  /** Keeps a conversation as it now stands. */
  save(chat: Chat) {
    clearTimeout(this.#late.get(chat.id))
    this.#late.delete(chat.id)
    if (!this.list.some((c) => c.id === chat.id)) return // it was dropped meanwhile
    store.keep($state.snapshot(chat) as Chat).then(() => {
      this.unkept = ''
      this.#others.postMessage(chat.id)
    }, this.#failed)
  }

  #failed = (e: unknown) => {
    this.unkept = e instanceof Error ? e.message : String(e)
  }

  #saveLater(chat: Chat) {
    if (!this.#late.has(chat.id)) this.#late.set(chat.id, setTimeout(() => this.save(chat), saveEvery))
  }

  /** The page came back as it was left, so what it holds is the newest. */
  back() {
    store.forgetUnsaved()
  }

  /** Keeps what is being written when the page goes away. */
  leave() {
    store.keepNow($state.snapshot(this.list.filter((c) => this.#running.has(c.id) || this.#late.has(c.id))) as Chat[])
  }

  saveSettings() {
    try {
      localStorage.setItem(settingsStore, JSON.stringify(this.defaults))
    } catch {
      // They last as long as the page, then.
    }
    if (this.current) this.#saveLater(this.current)
  }
}

function loadSettings(): Settings {
  try {
    return fill(JSON.parse(localStorage.getItem(settingsStore) ?? '{}'))
  } catch {
    return fill({})
  }
}

function user(content: string, parent: string): Turn {
  return { id: newID(), parent, role: 'user', content, at: Date.now(), state: 'done' }
}

/** All that was said in a conversation, to tell whether two are the same. */
const said = (c: Chat) => JSON.stringify(c.turns.map((t) => [t.id, t.content]))

/** What the model is told: the path down to before a turn. */
function messagesOf(chat: Chat, until: string, system: string): Message[] {
  const out: Message[] = system.trim() ? [{ role: 'system', content: system.trim() }] : []
  const turns = path(chat)
  for (const [i, t] of turns.entries()) {
    if (t.id === until) break
    if (t.role === 'tool') out.push({ role: 'tool', content: t.content, tool_call_id: t.call })
    // Calls without results would make the request invalid.
    else if (t.calls?.length && turns[i + 1]?.role === 'tool') out.push({ role: 'assistant', content: t.content, tool_calls: t.calls.map(asCall) })
    else if (t.content) out.push({ role: t.role, content: t.content })
  }
  return out
}

const asCall = (c: Call) => ({ id: c.id, type: 'function' as const, function: { name: c.name, arguments: c.arguments } })

export const chats = new Chats()
