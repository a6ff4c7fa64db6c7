// The make-believe gateway's desk: accounts, keys and receipts. Signatures,
// hashes and paths are real ones, so that checking them means something.

import { ed25519 } from '@noble/curves/ed25519.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { ripemd160 } from '@noble/hashes/legacy.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { base58, bech32 } from '@scure/base'

const bytes = (text) => new TextEncoder().encode(text)
const hex = (b) => Buffer.from(b).toString('hex')
const base64 = (b) => Buffer.from(b).toString('base64')
const hash = (text) => hex(sha256(bytes(text)))
export const addressOf = (key) => bech32.encode('plx', bech32.toWords(ripemd160(sha256(key))))

const secret = sha256(bytes('validator of make-believe'))
const pub = secp256k1.getPublicKey(secret)

/** A peer of make-believe: its key and its id, which holds the public one. */
function peer(name) {
  const secret = sha256(bytes(name))
  return { secret, id: Uint8Array.from([0x00, 0x24, 0x08, 0x01, 0x12, 0x20, ...ed25519.getPublicKey(secret)]) }
}
const caller = peer('validator')
export const validator = { uid: 5, account: addressOf(pub), peer: base58.encode(caller.id) }

// Receipts.

const receipts = new Map()
const leaf = (b) => sha256(Uint8Array.from([0, ...b]))
const node = (l, r) => sha256(Uint8Array.from([1, ...l, ...r]))

/** Root and path of the leaf at an index of RFC 6962's tree. */
export function prove(leaves, index) {
  if (leaves.length === 1) return { root: leaves[0], path: [] }
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  const [a, b] = [leaves.slice(0, k), leaves.slice(k)]
  const [inside, beside] = index < k ? [prove(a, index), prove(b, 0)] : [prove(b, index - k), prove(a, 0)]
  return { root: index < k ? node(inside.root, beside.root) : node(beside.root, inside.root), path: [...inside.path, beside.root] }
}

/** A conversation's hash: form, then each role and content behind its length. */
function promptHash(messages) {
  const size = (s) => {
    const b = Buffer.alloc(4)
    b.writeUInt32LE(Buffer.byteLength(s))
    return b
  }
  return hex(sha256(Buffer.concat([Buffer.from('plexus/prompt/v1/messages\0'), ...messages.flatMap((m) => [m.role, m.content].flatMap((s) => [size(s), Buffer.from(s)]))])))
}

/** DSSE's pre-authentication encoding. */
const statement = (type, payload) => Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload])
const payloadType = 'application/vnd.plexus.receipt+json'

/** What is signed between peers: bytes and texts behind their length, numbers as 64 bits. */
function said(...fields) {
  return Buffer.concat(fields.map((f) => {
    if (typeof f === 'number') {
      const b = Buffer.alloc(8)
      b.writeBigUInt64BE(BigInt(f))
      return b
    }
    const size = Buffer.alloc(4)
    size.writeUInt32BE(Buffer.byteLength(f))
    return Buffer.concat([size, Buffer.from(f)])
  }))
}

/** What the validator and a miner signed to each other. */
function exchange(miner, id) {
  const q = { method: 'subnet/1/task', body_hash: sha256(bytes(id)), caller: caller.id, receiver: miner.id, nonce: sha256(bytes(id)).slice(0, 16), issued_ms: 1_790_000_000_000, expires_ms: 1_790_000_030_000 }
  const request = said('plexus/axon/1.0.0/request', ...Object.values(q))
  const a = { request_hash: sha256(request), sequence: 64, running_hash: sha256(bytes('all pieces')), last: true }
  const response = said('plexus/axon/1.0.0/response', a.request_hash, a.sequence, a.running_hash, 1, 0, 0, '', 0)
  const wire = (v, signature) => Object.fromEntries(Object.entries({ ...v, signature }).map(([k, x]) => [k, x instanceof Uint8Array ? base64(x) : x]))
  return { request: wire(q, ed25519.sign(request, caller.secret)), response: wire(a, ed25519.sign(response, miner.secret)) }
}

/** Makes and keeps a receipt of an answer, and returns its id. */
export function record(id, { model, messages, text, miner, height, score }) {
  const worker = peer(`miner ${miner.uid}`)
  const receipt = {
    version: 2, id, request_id: id.replace('rcpt', 'req'), created: 1_790_000_000, chain_id: 'plexus-fake', model, manifest_sha256: hash('manifest'), netuid: 1, height, block_hash: hash(`block ${height}`),
    validator: { uid: validator.uid, account: validator.account, hotkey: addressOf(pub), peer_id: validator.peer }, strategy: 'first', why: 'first text of 4 miners, after 84 ms', ranked_by: 'first',
    prompt_sha256: promptHash(messages), tokens_sha256: hash(`${text} tokens`), text_sha256: hash(text), usage: { prompt_tokens: 20, completion_tokens: 64, total_tokens: 84 },
    miners: [{ uid: miner.uid, account: miner.account, peer_id: base58.encode(worker.id), task: null, score, verdict: 'accepted', reason: '', chosen: true, standing: 0.97, exchange: exchange(worker, id) }], votes: null,
  }
  const prompt = messages.at(-1).content
  const payload = bytes(JSON.stringify(receipt))
  const others = [0, 1, 2, 3].map((i) => leaf(bytes(`another receipt ${i}`)))
  const { root, path } = prove([others[0], others[1], leaf(payload), others[2], others[3]], 2)
  receipts.set(id, {
    id, receipt,
    envelope: {
      payload: base64(payload), payload_type: payloadType, public_key: base64(pub),
      signature: base64(secp256k1.sign(sha256(statement(payloadType, payload)), secret, { prehash: false, lowS: true })),
    },
    proof: prompt.includes('unproven') ? null : { epoch: 34, root: hex(root), index: 2, size: 5, path: path.map(hex) },
    waits: prompt.includes('patient') ? 2 : 0, // how often it is asked for before it is signed
  })
  if (prompt.includes('forged')) receipts.get(id).receipt = { ...receipt, why: 'the best of all answers' }
  return id
}

// Accounts.

const challenges = new Map()
const keys = new Map() // by secret

/** What a wallet signs for a text of a user, as of ADR-36. */
export function signDoc(signer, text) {
  const doc = { account_number: '0', chain_id: '', fee: { amount: [], gas: '0' }, memo: '', msgs: [{ type: 'sign/MsgSignData', value: { data: Buffer.from(text).toString('base64'), signer } }], sequence: '0' }
  return sha256(bytes(JSON.stringify(doc)))
}

function issue(address, name) {
  const key = `plx-${Buffer.from(crypto.getRandomValues(new Uint8Array(18))).toString('base64url')}`
  keys.set(key, { id: `key_${keys.size + 1}`, address, name, prefix: key.slice(0, 10), created: new Date().toISOString() })
  return key
}

export const operatorKey = issue('', 'operator')
const refuse = (status, code, message) => ({ status, body: { error: { message, type: 'invalid_request_error', param: null, code } } })

/** Answers what the desk is asked: a status and a body; undefined when it is not for the desk. */
export function desk(method, path, body, bearer) {
  if (path === '/v1/auth/challenge') {
    const challenge = `Sign in to Plexus as ${body.address}, nonce ${challenges.size + 1}`
    challenges.set(challenge, body.address)
    return { status: 200, body: { challenge, expires: new Date(Date.now() + 300_000).toISOString() } }
  }
  if (path === '/v1/auth/login') {
    const key = Buffer.from(body.public_key, 'base64')
    if (challenges.get(body.challenge) !== body.address || addressOf(key) !== body.address) return refuse(401, 'bad_challenge', 'the challenge is not for this address, or was used; ask for a new one')
    if (!secp256k1.verify(Buffer.from(body.signature, 'base64'), signDoc(body.address, body.challenge), key, { prehash: false })) return refuse(401, 'bad_signature', 'the signature is not this key’s over the challenge')
    challenges.delete(body.challenge)
    return { status: 200, body: { key: issue(body.address, 'browser') } }
  }
  if (path.startsWith('/v1/receipts/')) {
    const found = receipts.get(decodeURIComponent(path.slice(13)))
    if (found && found.waits-- > 0) return refuse(404, 'receipt_pending', 'the receipt is signed once all miners’ answers are checked; ask again in a second')
    return found ? { status: 200, body: { ...found, waits: undefined } } : refuse(404, 'no_receipt', `there is no receipt ${path.slice(13)}; receipts are kept for 90 days`)
  }
  if (path !== '/v1/account' && !path.startsWith('/v1/keys')) return undefined
  const me = keys.get(bearer)
  if (!me) return refuse(401, 'invalid_api_key', 'the API key is not valid here; sign in again')
  if (path === '/v1/account') {
    return {
      status: 200,
      body: {
        address: me.address, stake_nplx: me.address ? 1_250_000_000_000 : 0,
        prepaid: { balance_nplx: 3_500_000_000, spent_nplx: 500_000_000, deposit_account: 'plx1depositaccountofthevalidator0000000000', price_nplx: 40_000_000 },
        quota: { tier: me.address ? 'stake' : 'operator', used: 182_000, remaining: 818_000, limit: 1_000_000, epoch: 34, resets_height: 12_600, resets_in_s: 240 },
        usage: [{ day: '2026-11-26', model: 'plexus-4m', requests: 400, prompt_tokens: 60_000, completion_tokens: 120_000 }, { day: '2026-11-25', model: 'plexus-4m', requests: 12, prompt_tokens: 1_000, completion_tokens: 1_000 }],
      },
    }
  }
  if (!me.address) return refuse(403, 'no_account', 'keys are managed by the account that owns them: send a key that plexus login made')
  if (method === 'POST') return { status: 200, body: { key: issue(me.address, body.name) } }
  if (method === 'DELETE') {
    const gone = [...keys].find(([, k]) => k.id === decodeURIComponent(path.slice(9)) && k.address === me.address)
    if (!gone) return refuse(404, 'no_key', 'there is no such key')
    keys.delete(gone[0])
    return { status: 200, body: {} }
  }
  return { status: 200, body: { data: [...keys.values()].filter((k) => k.address === me.address) } }
}
