// What a miner and the validator signed to each other, as a receipt holds it:
// the request and the latest piece of the answer, without bodies. Bytes are
// base64; fields that are zero are left out (docs/receipts.md).

import { ed25519 } from '@noble/curves/ed25519.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { base58 } from '@scure/base'
import { w } from './words'

type Loose = Record<string, unknown>

/** The statement that a signature covers: texts and bytes behind their length, numbers as 64 bits. */
class Statement {
  private parts: number[] = []

  constructor(name: string) {
    this.text(name)
  }

  bytes(b: Uint8Array): this {
    this.parts.push((b.length >>> 24) & 255, (b.length >>> 16) & 255, (b.length >>> 8) & 255, b.length & 255, ...b)
    return this
  }

  text(v: unknown): this {
    return this.bytes(new TextEncoder().encode(typeof v === 'string' ? v : ''))
  }

  number(v: unknown): this {
    const b = new Uint8Array(8)
    new DataView(b.buffer).setBigUint64(0, typeof v === 'number' ? BigInt(v) : 0n)
    this.parts.push(...b)
    return this
  }

  done(): Uint8Array {
    return Uint8Array.from(this.parts)
  }
}

const object = (v: unknown): Loose => (v && typeof v === 'object' && !Array.isArray(v) ? (v as Loose) : {})
const base64 = (v: unknown) => Uint8Array.from(typeof v === 'string' ? atob(v) : '', (c) => c.charCodeAt(0))
const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((x, i) => x === b[i])

/** The Ed25519 key inside a peer id: an identity hash of a protobuf with it. */
function keyOf(peer: Uint8Array): Uint8Array {
  const head = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20]
  if (peer.length !== 38 || head.some((x, i) => peer[i] !== x)) throw new Error(w.receipt.peerUnfit)
  return peer.slice(6)
}

const holds = (by: Uint8Array, what: Uint8Array, signature: unknown) => ed25519.verify(base64(signature), what, keyOf(by), { zip215: false })

/** What was found of one miner's exchange: what is wrong with it, or how much the miner signed. */
export interface Signed {
  wrong?: string
  whole?: boolean // all of its answer, not only the beginning
  pieces?: number
}

/** Checks the exchange of a receipt with one of its miners. */
export function exchanged(receipt: Loose, miner: Loose): Signed {
  const { request, response } = object(miner.exchange)
  const q = object(request)
  const a = object(response)
  if (!request || !response) return { wrong: w.receipt.noAnswer }
  const caller = base64(q.caller)
  const receiver = base64(q.receiver)
  const asked = new Statement('plexus/axon/1.0.0/request')
    .text(q.method).bytes(base64(q.body_hash)).bytes(caller).bytes(receiver).bytes(base64(q.nonce)).number(q.issued_ms).number(q.expires_ms).done()
  if (!holds(caller, asked, q.signature)) return { wrong: w.receipt.requestFails }
  if (!same(sha256(asked), base64(a.request_hash))) return { wrong: w.receipt.otherRequest }
  const refusal = object(a.refusal)
  const said = new Statement('plexus/axon/1.0.0/response')
    .bytes(base64(a.request_hash)).number(a.sequence).bytes(base64(a.running_hash)).number(a.last === true ? 1 : 0)
    .number(a.refusal ? 1 : 0).number(refusal.code).text(refusal.message).number(refusal.retry_after_ms).done()
  if (!holds(receiver, said, a.signature)) return { wrong: w.receipt.responseFails }
  const validator = object(receipt.validator).peer_id
  if (base58.encode(receiver) !== miner.peer_id) return { wrong: w.receipt.otherPeer(base58.encode(receiver)) }
  if (base58.encode(caller) !== validator) return { wrong: w.receipt.otherCaller(base58.encode(caller)) }
  if (q.method !== `subnet/${receipt.netuid}/task`) return { wrong: w.receipt.otherMethod(String(q.method)) }
  return { whole: a.last === true && !a.refusal, pieces: (typeof a.sequence === 'number' ? a.sequence : 0) + 1 }
}
