// The tenant's desk: how the console is asked, and what all its pages share.

import { stream } from './stream'
import { c } from './words'

const base = '/console/v1/'
const tokenName = 'plexus.console'

export interface Fault {
  line: number
  column?: number
  path?: string
  text: string
  warning?: boolean
}

/** What the console refused, in its own words. */
export class Refusal extends Error {
  code: string
  faults: Fault[]
  constructor(message: string, code = '', faults: Fault[] = []) {
    super(message)
    this.code = code
    this.faults = faults
  }
}

export interface Account {
  name: string
  address: string
  balance: string
  chain_id: string
  height: number
  block_seconds: number
}

export interface Rate {
  block: string
  hour: string
  month: string
}

export interface Runway {
  blocks: number // -1 while nothing is paid
  seconds: number
  left: string
}

export interface Deployment {
  dseq: number
  state: string
  reason?: string
  groups: number
  leases: number
  price: string
  spent: string
  opened: number
  began?: string // times of blocks, if the node still has them
  ended?: string
  runway: Runway
  rate: Rate
}

export interface Used {
  cpu: number // thousandths of a core
  memory: number // bytes
  disk: number
  in: number
  out: number
}

export interface Replica {
  number: number
  state: string
  since?: string
  restarts: number
  code?: number
  reason?: string
  used: Used
}

export interface Service {
  name: string
  total: number
  running: number
  urls?: string[]
  ports?: { external: number; host: number; udp?: boolean; replica?: number }[]
  addresses?: { endpoint: string; ip: string; port: number; udp?: boolean }[]
  names?: { host: string; here: boolean }[] // that the tenant chose
  replicas: Replica[]
}

/** A line that a replica printed. */
export interface Line {
  service: string
  replica: number
  time: string
  stream: string
  text: string
}

/** Something that happened to a lease. */
export interface Event {
  number: number
  time: string
  where?: string
  kind: string
  text: string
}

/** A lease that has ended. */
export interface Ended {
  id: string
  group: number
  provider: string
  price: string
  began?: string
  ended?: string
  opened: number // heights
  closed: number
  reason: string
  cost: string
}

/** A leased address, and which deployment has it. */
export interface Held {
  dseq: number
  group: number
  provider: string
  endpoint: string
  ip: string
}

/** What a compute subnet says of a provider. */
export interface Measure {
  netuid: number
  subnet: string
  score: number // 0 to 1, beside the best
  place: number // 0 without a score
  of: number
}

export interface Lease {
  id: string
  manifest?: string
  ready: boolean
  services: Service[] | null
  provider: string
  price: string
  error?: string
}

export interface State {
  ready: boolean
  leases: Lease[]
}

export interface Amounts {
  cpu: number
  memory: number
  gpu: number
  gpus?: Record<string, number> // by kind
  storage: Record<string, number> | null
}

export interface Offer {
  provider: string
  host_uri: string
  website?: string
  attributes?: { key: string; value: string }[]
  screening: { ok: boolean; price?: string; reason?: string; kind?: string }
  status?: { engine: string; bidding: boolean; reason?: string; capacity: Amounts; free: Amounts; used: Used; leases: number; missing?: string[] }
  rate?: Rate
  measured?: Measure[]
}

export interface Bid {
  id: string
  group: number
  provider: string
  rate: Rate
}

export interface Check {
  valid: boolean
  problems: Fault[]
  highest?: Rate
  least_deposit?: { amount?: string; error?: string }
  summary?: { services: number; groups: number; total_replicas: number; total_cpu_milli: number; total_memory_bytes: number; total_storage_bytes: number; total_gpu_units: number }
}

export interface Template {
  name: string
  title: string
  text: string
}

/** Takes the token out of the address, where nobody should see it again. */
function takeToken(): string {
  const [path, query] = location.hash.split('?')
  const given = new URLSearchParams(query ?? '').get('token')
  if (given) {
    sessionStorage.setItem(tokenName, given)
    history.replaceState(null, '', path)
  }
  return given ?? sessionStorage.getItem(tokenName) ?? ''
}

class Desk {
  account = $state<Account | undefined>()
  trouble = $state<Refusal | undefined>() // why the desk itself does not answer
  #token = takeToken()

  /** Asks the console; throws a [Refusal] unless all is well. */
  async call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    const res = await this.#fetch(path, { method, signal, body: body === undefined ? undefined : JSON.stringify(body) })
    return res.json()
  }

  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.call('GET', path, undefined, signal)
  }

  /** Yields what a stream of the console says, until it ends. */
  async *follow<T>(path: string, signal: AbortSignal): AsyncGenerator<T> {
    const res = await this.#fetch(path, { signal })
    for await (const text of stream(res.body!)) {
      const said = JSON.parse(text)
      if (said.end) return
      if (said.error) throw new Refusal(said.error.message, said.error.code)
      yield said as T
    }
    throw new Refusal(c.broke)
  }

  /** Opens a shell's websocket. */
  shell(path: string): WebSocket {
    return new WebSocket(new URL(base + path, location.href.replace(/^http/, 'ws')), ['plexus.shell.v1', `plexus.token.${this.#token}`])
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.#token}` }
    if (init.body) headers['content-type'] = 'application/json'
    let res: Response
    try {
      res = await fetch(base + path, { ...init, headers })
    } catch (e) {
      if (init.signal?.aborted) throw e
      throw new Refusal(c.away, 'away')
    }
    if (res.ok) return res
    const { error } = await res.json().catch(() => ({ error: { message: c.status(res.status) } }))
    throw new Refusal(String(error.message), String(error.code ?? ''), error.problems ?? [])
  }

  /** Looks at the account, and again while somebody watches. */
  watch(): () => void {
    const control = new AbortController()
    let timer: ReturnType<typeof setTimeout>
    const look = async () => {
      if (document.visibilityState === 'visible') {
        try {
          this.account = await this.get<Account>('account', control.signal)
          this.trouble = undefined
        } catch (e) {
          if (control.signal.aborted) return
          this.trouble = refusal(e)
        }
      }
      timer = setTimeout(look, 5000)
    }
    void look()
    return () => {
      control.abort()
      clearTimeout(timer)
    }
  }

  // The chain keeps a manifest's hash and no SDL, so the browser keeps those
  // that were sent from it.

  sdlOf(dseq: number): string {
    return localStorage.getItem(this.#sdlName(dseq)) ?? ''
  }

  keepSDL(dseq: number, text: string) {
    localStorage.setItem(this.#sdlName(dseq), text)
  }

  forgetSDL(dseq: number) {
    localStorage.removeItem(this.#sdlName(dseq))
  }

  #sdlName(dseq: number): string {
    return `plexus.sdl.${this.account?.chain_id}.${this.account?.address}.${dseq}`
  }
}

/** Whatever was thrown, as a [Refusal]. */
export function refusal(e: unknown): Refusal {
  return e instanceof Refusal ? e : new Refusal(e instanceof Error ? e.message : String(e))
}

/** Waits, and tells whether it was not called off. */
export function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((done) => {
    const timer = setTimeout(() => done(!signal.aborted), ms)
    signal.addEventListener('abort', () => (clearTimeout(timer), done(false)), { once: true })
  })
}

export const desk = new Desk()
