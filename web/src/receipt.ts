// Receipts: read, and checked here in the browser without trusting the
// gateway that handed them out.
//
// What is signed, by secp256k1 over its SHA-256, is DSSE's encoding of the
// payload (secure-systems-lab/dsse, protocol.md); the signer's address is the
// bech32 of RIPEMD-160 of SHA-256 of the key. docs/receipts.md is the format. Batches of receipts
// stand on the chain as Merkle roots as of RFC 6962. exchange.ts checks what
// the miners signed, chosen.ts what put the answer first.

import { secp256k1 } from '@noble/curves/secp256k1.js'
import { ripemd160 } from '@noble/hashes/legacy.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bech32 } from '@scure/base'
import { chosen } from './chosen'
import { exchanged } from './exchange'
import type { Message } from './wire'
import { w } from './words'

/** What GET /v1/receipts/{id} answers. */
export interface Receipt {
  id: string
  receipt: Record<string, unknown>
  envelope: { payload: string; payload_type: string; public_key: string; signature: string }
  proof?: Proof | null
}

export interface Proof {
  epoch: number | string
  root: string
  index: number | string
  path: string[]
  size: number | string // receipts in the batch
}

/** One thing that was checked: true, false, or null where it cannot be told. */
export interface Finding {
  name: string
  ok: boolean | null
  why: string
}

const prefix = 'plx'
const bytesOf = (text: string) => new TextEncoder().encode(text)

/** Bytes as base64 or hex wrote them; throws on what is neither. */
export function bytes(text: string): Uint8Array {
  if (/^(?:[0-9a-f]{2})+$/i.test(text) && text.length % 64 === 0) return Uint8Array.from(text.match(/../g)!, (h) => parseInt(h, 16))
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
}

const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((x, i) => x === b[i])

/** The account of a public key. */
export function address(key: Uint8Array): string {
  return bech32.encode(prefix, bech32.toWords(ripemd160(sha256(key))))
}

/** Reads a receipt's answer, or says what is missing. */
export function readReceipt(v: unknown): Receipt {
  const r = v as Partial<Receipt> | null
  const e = r?.envelope
  if (!r || typeof r.receipt !== 'object' || !r.receipt) throw new Error(w.receipt.unfit('receipt'))
  for (const f of ['payload', 'payload_type', 'public_key', 'signature'] as const) if (typeof e?.[f] !== 'string') throw new Error(w.receipt.unfit(`envelope.${f}`))
  return r as Receipt
}

/** What the chat itself knows of an answer. */
export interface Known {
  messages?: Message[] // what was asked, the system's included
  text?: string
}

/** Checks a receipt and says what was found, in the order of the chain of trust. */
export function verify(r: Receipt, known: Known): Finding[] {
  return [signed(r), signer(r), shown(r), text(r, known), prompt(r, known), ...exchanges(r), ...first(r), ...undeclared(r), proven(r)]
}

function attempt(name: string, act: () => Omit<Finding, 'name'>): Finding {
  try {
    return { name, ...act() }
  } catch (e) {
    return { name, ok: false, why: e instanceof Error ? e.message : String(e) }
  }
}

/** What is signed: the payload's type and bytes, each behind its length. */
export function statement(type: string, payload: Uint8Array): Uint8Array {
  return new Uint8Array([...bytesOf(`DSSEv1 ${bytesOf(type).length} ${type} ${payload.length} `), ...payload])
}

/** The signature holds over the payload's bytes. */
function signed(r: Receipt): Finding {
  return attempt(w.receipt.signature, () => {
    const ok = secp256k1.verify(bytes(r.envelope.signature), sha256(statement(r.envelope.payload_type, bytes(r.envelope.payload))), bytes(r.envelope.public_key), { prehash: false, lowS: true })
    return { ok, why: ok ? w.receipt.signatureHolds : w.receipt.signatureFails }
  })
}

/** The key is the hotkey's that the receipt names. */
function signer(r: Receipt): Finding {
  return attempt(w.receipt.signer, () => {
    const is = address(bytes(r.envelope.public_key))
    const named = (r.receipt.validator as { hotkey?: unknown } | undefined)?.hotkey
    if (typeof named !== 'string') return { ok: null, why: w.receipt.signerUnknown(is) }
    return { ok: named === is, why: named === is ? w.receipt.signerHolds(is) : w.receipt.signerOther(is, named) }
  })
}

/** What is shown as the receipt is what was signed. */
function shown(r: Receipt): Finding {
  return attempt(w.receipt.content, () => {
    const text = new TextDecoder().decode(bytes(r.envelope.payload))
    let payload: unknown
    try {
      payload = JSON.parse(text)
    } catch {
      return { ok: null, why: w.receipt.contentBinary }
    }
    const ok = sorted(payload) === sorted(r.receipt)
    return { ok, why: ok ? w.receipt.contentHolds : w.receipt.contentDiffers }
  })
}

/** JSON with every object's names in order. */
function sorted(v: unknown): string {
  if (Array.isArray(v)) return `[${v.map(sorted).join()}]`
  if (!v || typeof v !== 'object') return JSON.stringify(v) ?? 'null'
  return `{${Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, x]) => `${JSON.stringify(k)}:${sorted(x)}`).join()}}`
}

/** The answer's hash is that of the text in this chat. */
function text(r: Receipt, known: Known): Finding {
  return attempt(w.receipt.text, () => {
    const hash = r.receipt.text_sha256
    if (typeof hash !== 'string' || known.text === undefined) return { ok: null, why: w.receipt.noText }
    const ok = same(bytes(hash), sha256(bytesOf(known.text)))
    return { ok, why: ok ? w.receipt.textHolds : w.receipt.textDiffers }
  })
}

/** The prompt's hash is that of the conversation. */
function prompt(r: Receipt, known: Known): Finding {
  return attempt(w.receipt.prompt, () => {
    const hash = r.receipt.prompt_sha256
    if (typeof hash !== 'string' || !known.messages) return { ok: null, why: w.receipt.noText }
    const ok = same(bytes(hash), sha256(asked(known.messages)))
    return { ok: ok || null, why: ok ? w.receipt.promptHolds : w.receipt.promptOther }
  })
}

/** A conversation as it is hashed: its form, then each role and content behind its length. */
export function asked(messages: Message[]): Uint8Array {
  const parts = [bytesOf('plexus/prompt/v1/messages\0')]
  for (const m of messages) {
    for (const b of [bytesOf(m.role), bytesOf(m.content)]) {
      const length = new Uint8Array(4)
      new DataView(length.buffer).setUint32(0, b.length, true)
      parts.push(length, b)
    }
  }
  return Uint8Array.from(parts.flatMap((p) => [...p]))
}

/** The miners' own signatures are theirs, on an exchange with this validator. */
function exchanges(r: Receipt): Finding[] {
  const miners = listed(r).filter((m) => m.exchange)
  if (!miners.length) return []
  return [
    attempt(w.receipt.miners, () => {
      const found = miners.map((m) => ({ uid: Number(m.uid), ...exchanged(r.receipt, m) }))
      const bad = found.find((f) => f.wrong)
      if (bad) return { ok: false, why: w.receipt.minerFails(bad.uid, bad.wrong!) }
      return { ok: true, why: w.receipt.minersHold(found.length, found.filter((f) => f.whole).length) }
    }),
  ]
}

/** The miners that a receipt lists. */
const listed = (r: Receipt) => (Array.isArray(r.receipt.miners) ? r.receipt.miners.filter((m): m is Record<string, unknown> => Boolean(m) && typeof m === 'object') : [])

/** The answer is the one that the receipt's own figures put first, where they do. */
function first(r: Receipt): Finding[] {
  const by = r.receipt.ranked_by
  return by && by !== 'first' ? [attempt(w.receipt.chosen, () => chosen(r.receipt))] : []
}

/** Where the subnet declares no model, nobody says which one answered. */
function undeclared(r: Receipt): Finding[] {
  return r.receipt.kind === 'open' ? [{ name: w.receipt.model, ok: null, why: w.receipt.modelOpen }] : []
}

/** The receipt is in the batch whose root the chain has. */
function proven(r: Receipt): Finding {
  const p = r.proof
  if (!p) return { name: w.receipt.proof, ok: null, why: w.receipt.notYet }
  return attempt(w.receipt.proof, () => {
    const root = climb(bytes(r.envelope.payload), Number(p.index), p.path.map(bytes), Number(p.size))
    const ok = root !== undefined && same(root, bytes(p.root))
    return { ok, why: ok ? w.receipt.proofHolds(String(p.epoch), Number(p.index)) : w.receipt.proofFails }
  })
}

const leaf = (data: Uint8Array) => sha256(new Uint8Array([0, ...data]))
const node = (left: Uint8Array, right: Uint8Array) => sha256(new Uint8Array([1, ...left, ...right]))

/** The root that a leaf and its path lead to in a tree of that size (RFC 9162, 2.1.3.2). */
export function climb(data: Uint8Array, index: number, path: Uint8Array[], size: number): Uint8Array | undefined {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size || path.length > 64) return undefined
  let at = index
  let last = size - 1
  let hash = leaf(data)
  for (const beside of path) {
    if (last === 0) return undefined
    if (at % 2 === 1 || at === last) {
      hash = node(beside, hash)
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2)
        last = Math.floor(last / 2)
      }
    } else {
      hash = node(hash, beside)
    }
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? hash : undefined
}

/** A receipt's fields as a card shows them: names with dots, values as text. */
export function fields(v: Record<string, unknown>, before = ''): { name: string; value: string }[] {
  return Object.entries(v).flatMap(([name, value]) => {
    const whole = before + name
    if (value === null || value === '' || name === 'exchange') return []
    if (whole === 'created') return [{ name: whole, value: new Date(Number(value) * 1000).toISOString() }]
    if (Array.isArray(value)) return value.length ? value.flatMap((x, i) => (x && typeof x === 'object' ? fields(x as Record<string, unknown>, `${whole}.${i}.`) : [{ name: `${whole}.${i}`, value: String(x) }])) : []
    if (typeof value === 'object') return fields(value as Record<string, unknown>, `${whole}.`)
    return [{ name: whole, value: String(value) }]
  })
}
