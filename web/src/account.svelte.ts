// Who the user is to this gateway: an API key, and what stands behind it.

import { call, key, Refusal } from './api'
import { w } from './words'

/** What GET /v1/account tells; fields that a gateway leaves out are missing. */
export interface Account {
  address?: string
  quota?: { tier?: string; used?: number; remaining?: number; limit?: number; resets_height?: number; resets_in_s?: number } // in tokens
  stake_nplx?: string | number // delegated to this validator
  prepaid?: { balance_nplx?: string | number; deposit_account?: string; price_nplx?: string | number }
  usage?: Use[]
}

/** What was used of one model on one day. */
export interface Use {
  day?: string
  model?: string
  prompt_tokens?: number
  completion_tokens?: number
  requests?: number
}

export interface Key {
  id: string
  name?: string
  prefix?: string
  created?: string
  expires?: string
  revoked?: string
}

/** What this page uses of a browser wallet that speaks as Keplr does. */
interface Wallet {
  enable(chain: string): Promise<void>
  experimentalSuggestChain(chain: unknown): Promise<void>
  getKey(chain: string): Promise<{ bech32Address: string }>
  signArbitrary(chain: string, signer: string, data: string): Promise<{ pub_key: { type: string; value: string }; signature: string }>
}

const post = async (path: string, body: unknown) => (await call(path, { method: 'POST', body: JSON.stringify(body) })).json()

class Session {
  key = $state(key.get())
  account = $state<Account | undefined>()
  keys = $state<Key[]>([])
  made = $state('') // a new key, which is shown once
  busy = $state(false)
  error = $state('')

  get wallet(): Wallet | undefined {
    return (globalThis as { keplr?: Wallet }).keplr
  }

  /** Runs an act, and says what went wrong with it. */
  async #try(act: () => Promise<void>) {
    this.busy = true
    this.error = ''
    try {
      await act()
    } catch (e) {
      this.error = e instanceof Refusal ? e.message : e instanceof TypeError ? w.trouble.unreachable : e instanceof Error ? e.message : String(e)
    } finally {
      this.busy = false
    }
  }

  #keep(value: string) {
    key.set(value)
    this.key = value
  }

  look = () => this.#try(() => this.#look())

  async #look() {
    if (!this.key) return
    this.account = await (await call('/v1/account')).json()
    this.keys = await listed(this.account?.address)
  }

  /** Signs in with the wallet in this browser. */
  signWithWallet = (chain: string) =>
    this.#try(async () => {
      const wallet = this.wallet
      if (!wallet) throw new Error(w.account.noWallet)
      await wallet.enable(chain).catch(async () => {
        await wallet.experimentalSuggestChain(chainInfo(chain))
        await wallet.enable(chain)
      })
      const address = (await wallet.getKey(chain)).bech32Address
      const { challenge } = await post('/v1/auth/challenge', { address })
      const signed = await wallet.signArbitrary(chain, address, challenge)
      const got = await post('/v1/auth/login', { address, challenge, public_key: signed.pub_key.value, signature: signed.signature })
      this.#keep(got.key)
      await this.#look()
    })

  /** Signs in with a key that was made elsewhere. A key that is refused is not kept. */
  signWithKey = (value: string) =>
    this.#try(async () => {
      const before = this.key
      this.#keep(value.trim())
      try {
        await this.#look()
      } catch (e) {
        this.#keep(before)
        throw e
      }
    })

  signOut() {
    this.#keep('')
    this.account = undefined
    this.keys = []
    this.made = ''
    this.error = ''
  }

  create = (name: string) =>
    this.#try(async () => {
      this.made = (await post('/v1/keys', { name })).key
      this.keys = await listed(this.account?.address)
    })

  revoke = (id: string) =>
    this.#try(async () => {
      await call(`/v1/keys/${encodeURIComponent(id)}`, { method: 'DELETE' })
      this.keys = await listed(this.account?.address)
    })
}

/** The keys that are good; a key without an account has none to list. */
async function listed(address: string | undefined): Promise<Key[]> {
  if (!address) return []
  const got = await (await call('/v1/keys')).json()
  return (Array.isArray(got.data) ? (got.data as Key[]) : []).filter((k) => !k.revoked)
}

/** The chain as a wallet that does not know it is told of it. */
function chainInfo(chain: string) {
  const currency = { coinDenom: 'PLX', coinMinimalDenom: 'nplx', coinDecimals: 9 }
  const prefix = 'plx'
  return {
    chainId: chain,
    chainName: 'Plexus',
    rpc: location.origin,
    rest: location.origin,
    bip44: { coinType: 118 },
    bech32Config: {
      bech32PrefixAccAddr: prefix, bech32PrefixAccPub: `${prefix}pub`, bech32PrefixValAddr: `${prefix}valoper`, bech32PrefixValPub: `${prefix}valoperpub`,
      bech32PrefixConsAddr: `${prefix}valcons`, bech32PrefixConsPub: `${prefix}valconspub`,
    },
    currencies: [currency],
    feeCurrencies: [currency],
    stakeCurrency: currency,
  }
}

export const session = new Session()
