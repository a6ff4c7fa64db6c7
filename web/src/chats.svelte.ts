// Conversations. They live in this browser alone.

import { ask, Refusal, type Message, type Report, type Strategy } from './api'

export type State = 'waiting' | 'writing' | 'checking' | 'done' | 'stopped' | 'failed'

export interface Turn {
  id: string
  role: 'user' | 'assistant'
  content: string
  // Of the assistant's turns:
  state: State
  model?: string
  error?: string
  report?: Report
  tokens?: number
  seconds?: number
  cut?: boolean // ended by the limit of tokens
}

export interface Chat {
  id: string
  title: string
  updated: number
  turns: Turn[]
}

export interface Settings {
  model: string
  miners: number
  strategy: Strategy
  system: string
  temperature: number
  maxTokens: number
}

const store = 'plexus.chats'
const settingsStore = 'plexus.settings'
const most = 200 // conversations that are kept

function id(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) => b.toString(36).padStart(2, '0')).join('')
}

function load<T>(key: string, fallback: T): T {
  try {
    const found = localStorage.getItem(key)
    return found ? JSON.parse(found) : fallback
  } catch {
    return fallback
  }
}

/** The conversations that were kept. Answers that were under way then ended. */
function kept(): Chat[] {
  const list = load<Chat[]>(store, []).filter((c) => Array.isArray(c?.turns))
  for (const chat of list)
    for (const turn of chat.turns)
      if (turn.role === 'assistant' && ['waiting', 'writing', 'checking'].includes(turn.state)) turn.state = 'stopped'
  return list
}

class Chats {
  list = $state<Chat[]>([])
  open = $state<string>('')
  settings = $state<Settings>({ model: '', miners: 3, strategy: 'first', system: '', temperature: 0.7, maxTokens: 512 })
  full = $state(false) // storage took no more
  #running = new Map<string, AbortController>() // by conversation

  constructor() {
    this.list = kept()
    addEventListener('storage', (e) => e.key === store && this.#merge())
    this.settings = { ...this.settings, ...load<Partial<Settings>>(settingsStore, {}) }
  }

  /** Takes over what another tab kept; what is being answered here stays. */
  #merge() {
    const here = this.list.filter((c) => this.#running.has(c.id))
    this.list = [...here, ...kept().filter((c) => !this.#running.has(c.id))]
  }

  get current(): Chat | undefined {
    return this.list.find((c) => c.id === this.open)
  }

  get busy(): boolean {
    const last = this.current?.turns.at(-1)
    return last?.state === 'waiting' || last?.state === 'writing'
  }

  /** Starts a conversation; it is kept once something was said. */
  fresh() {
    this.open = ''
  }

  drop(chat: Chat) {
    this.#running.get(chat.id)?.abort()
    this.list = this.list.filter((c) => c.id !== chat.id)
    if (this.open === chat.id) this.open = ''
    this.save()
  }

  stop() {
    this.#running.get(this.open)?.abort()
  }

  /** Says something in the open conversation. */
  async say(words: string) {
    let chat = this.current
    if (!chat) {
      this.list.unshift({ id: id(), title: title(words), updated: Date.now(), turns: [] })
      chat = this.list[0]!
      this.list = this.list.slice(0, most)
      chat = this.list[0]!
      this.open = chat.id
    }
    this.#running.get(chat.id)?.abort()
    chat.turns.push({ id: id(), role: 'user', content: words, state: 'done' })
    await this.#answer(chat)
  }

  /** Answers again from a turn on; what came after it goes. */
  async retry(turn: Turn, words?: string) {
    const chat = this.current
    const at = chat?.turns.findIndex((t) => t.id === turn.id) ?? -1
    if (!chat || at < 0) return
    this.#running.get(chat.id)?.abort()
    if (turn.role === 'user') {
      chat.turns.splice(at + 1)
      chat.turns[at]!.content = words ?? turn.content
      if (at === 0) chat.title = title(chat.turns[0]!.content)
    } else {
      chat.turns.splice(at)
    }
    await this.#answer(chat)
  }

  async #answer(chat: Chat) {
    const s = this.settings
    const messages: Message[] = s.system.trim() ? [{ role: 'system', content: s.system.trim() }] : []
    for (const t of chat.turns) if (t.content) messages.push({ role: t.role, content: t.content })
    chat.turns.push({ id: id(), role: 'assistant', content: '', state: 'waiting', model: s.model })
    const turn = chat.turns.at(-1)! // the one that is watched
    chat.updated = Date.now()
    this.list = [chat, ...this.list.filter((c) => c.id !== chat.id)]
    this.save()

    const control = new AbortController()
    this.#running.set(chat.id, control)
    const began = performance.now()
    try {
      await ask(
        { model: s.model, messages, temperature: s.temperature, max_tokens: s.maxTokens, miners: s.miners, strategy: s.strategy },
        {
          text: (piece) => {
            turn.state = 'writing'
            turn.content += piece
          },
          finish: (reason) => {
            turn.state = 'checking'
            turn.cut = reason === 'length'
            turn.seconds = (performance.now() - began) / 1000
          },
          usage: (tokens) => (turn.tokens = tokens),
          report: (report) => (turn.report = report),
        },
        control.signal,
      )
      turn.state = 'done'
    } catch (e) {
      if (control.signal.aborted) {
        turn.state = turn.state === 'checking' ? 'done' : 'stopped'
      } else {
        turn.state = 'failed'
        turn.error = e instanceof Refusal ? e.message : 'The gateway cannot be reached. Is it running?'
      }
    } finally {
      if (this.#running.get(chat.id) === control) this.#running.delete(chat.id)
      this.save()
    }
  }

  /** Keeps everything, dropping the oldest conversations when storage is full. */
  save() {
    let list = this.list
    for (;;) {
      try {
        localStorage.setItem(store, JSON.stringify(list))
        this.full = list.length < this.list.length
        return
      } catch {
        if (list.length <= 1) {
          this.full = true
          return
        }
        list = list.slice(0, Math.floor(list.length * 0.8))
      }
    }
  }

  saveSettings() {
    try {
      localStorage.setItem(settingsStore, JSON.stringify(this.settings))
    } catch {
      // They last as long as the page, then.
    }
  }
}

function title(words: string): string {
  const line = words.trim().split('\n')[0] ?? ''
  return line.length > 60 ? line.slice(0, 57).trimEnd() + '…' : line
}

export const chats = new Chats()
