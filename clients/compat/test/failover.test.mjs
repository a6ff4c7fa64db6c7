// A miner is killed while it speaks, and a client hangs up in mid-stream. The
// network and its miners are real processes, the client is openai, unmodified.
// KILLS is how many deaths of each kind are measured; 1 by default.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { json } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import OpenAI from 'openai'
import { answers, model, Miner, receiptVerify, startNetwork } from './up.mjs'

const kills = Number(process.env.KILLS ?? 1)

// An answer of hundreds of tokens: the shipped model ends its stories after
// some 75, a quarter of a second, but a schema holds it to more.
const story = {
  model,
  messages: [{ role: 'user', content: 'Tell me a story.' }],
  max_tokens: 500,
  response_format: {
    type: 'json_schema',
    json_schema: {
      name: 'story',
      strict: true,
      schema: { type: 'object', properties: { story: { type: 'string', minLength: 400 } }, required: ['story'], additionalProperties: false },
    },
  },
}

let home, network, client
const miners = new Map() // by uid

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'plexus-failover-'))
  network = await startNetwork(home, 1)
  await answers(network.url, model, network.running)
  client = new OpenAI({ baseURL: `${network.url}/v1`, apiKey: 'none', maxRetries: 0 })
  for (const name of ['ann', 'ben']) {
    const miner = new Miner(home, name)
    miner.start()
    miners.set(miner.uid, miner)
  }
})

after(async () => {
  await Promise.all([...miners.values()].map((m) => m.kill()))
  await network?.stop()
  await rm(home, { recursive: true, force: true })
})

/**
 * Streams an answer. seen is called with each chunk's tokens so far and with the
 * uid of the miner that speaks, and may wait.
 */
async function stream(ask, seen = () => {}) {
  const { data, response } = await client.chat.completions
    .create({ ...story, ...ask, stream: true, stream_options: { include_usage: true }, return_token_ids: true })
    .withResponse()
  const speaker = Number(response.headers.get('x-plexus-miner'))
  const got = { text: '', ids: [], usage: null, plexus: null, finish: null }
  for await (const chunk of data) {
    const [choice] = chunk.choices
    got.text += choice?.delta.content ?? ''
    got.ids.push(...(choice?.token_ids ?? []))
    got.finish = choice?.finish_reason ?? got.finish
    got.usage = chunk.usage ?? got.usage
    got.plexus = chunk.plexus ?? got.plexus
    await seen(got.ids, speaker)
  }
  return got
}

/**
 * Streams until a miner that can be killed has spoken and was killed before its
 * answer was out. Which miner speaks is the gateway's choice.
 */
async function outlive(ask) {
  for (const until = Date.now() + 900_000; Date.now() < until; ) {
    let dead
    const got = await stream({ ...ask, plexus: { miners: 3, verdict: true } }, async (ids, speaker) => {
      if (dead || ids.length < 20 || !miners.has(speaker)) return
      dead = miners.get(speaker)
      await dead.kill()
    })
    dead?.start()
    const shift = got.plexus.resumed?.find((s) => s.from_uid === dead?.uid)
    const judged = got.plexus.miners.every((m) => !m.chosen || m.verdict !== 'unchecked') // a busy machine has not always time to
    if (shift && judged) return { ...got, shift }
  }
  throw new Error('no miner of its own process spoke within 15 minutes')
}

/** Checks that an answer has the usage and the receipt of its very tokens. */
async function accounted(got) {
  assert.equal(got.finish, 'stop')
  assert.equal(got.usage.completion_tokens, got.ids.length)
  const echo = await client.completions.create({ model, prompt: got.ids, max_tokens: 0, echo: true })
  assert.equal(echo.usage.prompt_tokens, got.ids.length)
  assert.equal(echo.choices[0].text, got.text, 'the text is not that of its tokens')
  const { resumed, miners: asked } = got.plexus
  const parts = asked.filter((m) => m.chosen)
  assert.ok(parts.length > resumed.length)
  for (const p of parts.filter((m) => m.verdict !== 'failed')) assert.equal(p.verdict, 'accepted', `${p.uid}: ${p.reason}`)
  assert.equal(parts.reduce((n, p) => n + p.tokens, 0), got.ids.length)
  const { receipt, file } = await record(got.plexus.receipt)
  const bytes = Buffer.alloc(4 * got.ids.length)
  got.ids.forEach((id, i) => bytes.writeUInt32LE(id, 4 * i))
  assert.equal(receipt.tokens_sha256, createHash('sha256').update(bytes).digest('hex'))
  assert.deepEqual(receipt.usage, {
    prompt_tokens: got.usage.prompt_tokens, completion_tokens: got.ids.length, total_tokens: got.usage.total_tokens,
  })
  const text = path.join(home, 'answer.txt')
  await writeFile(text, got.text)
  await writeFile(path.join(home, 'receipt.json'), file)
  receiptVerify(path.join(home, 'receipt.json'), text)
}

/** Fetches a receipt once it is signed. */
async function record(id) {
  for (let i = 0; i < 1500; i++) {
    const response = await fetch(`${network.url}/v1/receipts/${id}`)
    const file = await response.text()
    if (response.ok) return { file, receipt: JSON.parse(file).receipt }
    assert.equal(JSON.parse(file).error.code, 'receipt_pending')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error(`receipt ${id} is still pending after five minutes`)
}

/** Tells the pauses that clients saw. */
function tell(t, pauses) {
  const sorted = pauses.toSorted((a, b) => a - b)
  const at = (q) => sorted[Math.min(Math.floor(q * sorted.length), sorted.length - 1)].toFixed(0)
  t.diagnostic(`${pauses.length} deaths: a pause of ${at(0.5)} ms p50, ${at(0.95)} ms p95, ${at(1)} ms at most`)
}

test('a stream outlives its miner with the same text', async (t) => {
  const whole = await stream({ temperature: 0 })
  JSON.parse(whole.text)
  const pauses = []
  for (let i = 0; i < kills; i++) {
    const got = await outlive({ temperature: 0 })
    assert.equal(got.text, whole.text)
    assert.equal(got.usage.prompt_tokens, whole.usage.prompt_tokens)
    assert.equal(got.usage.completion_tokens, whole.usage.completion_tokens)
    await accounted(got)
    pauses.push(got.shift.gap_ms)
  }
  tell(t, pauses)
})

test('a stream under a seed outlives its miner token by token', async (t) => {
  const pauses = []
  for (let i = 0; i < kills; i++) {
    const got = await outlive({ temperature: 0.8, seed: 7 })
    JSON.parse(got.text)
    await accounted(got)
    pauses.push(got.shift.gap_ms)
  }
  tell(t, pauses)
})

// Without a key an address is an account: whoever comes from this one has used
// nothing yet.
const elsewhere = '127.0.0.2'

/**
 * Stands between a client and the gateway and keeps all that the gateway sent.
 * When the client is gone it says so, and waits for what is still to come.
 */
async function tap() {
  const { hostname, port } = new URL(network.url)
  let sent = ''
  let tell
  const all = new Promise((resolve) => (tell = resolve))
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ host: hostname, port, localAddress: elsewhere, allowHalfOpen: true })
    near.on('data', (b) => far.write(b))
    near.on('close', () => far.end())
    near.on('error', () => {}) // it hung up
    far.on('data', (b) => {
      sent += b
      near.write(b)
    })
    far.on('end', () => {
      far.end()
      tell(sent)
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, sent: all, close: () => server.close() }
}

/** What the gateway counts of those at the other address, once it counts something. */
async function used() {
  for (let i = 0; i < 1500; i++) {
    const account = await new Promise((resolve, reject) => {
      http.get(`${network.url}/v1/account`, { localAddress: elsewhere }, (r) => json(r).then(resolve, reject)).on('error', reject)
    })
    if (account.usage.length > 0) return account
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error('the gateway counts nothing in five minutes')
}

test('usage is exact when a client hangs up', async () => {
  const whole = await stream({ temperature: 0 })
  const between = await tap()
  const hasty = new OpenAI({ baseURL: `${between.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const heard = []
  const ask = { ...story, temperature: 0, stream: true, return_token_ids: true }
  for await (const chunk of await hasty.chat.completions.create(ask)) {
    heard.push(...(chunk.choices[0]?.token_ids ?? []))
    if (heard.length >= 20) break
  }
  const sent = [...(await between.sent).matchAll(/"token_ids":\[([\d,]*)\]/g)].flatMap((m) => m[1].split(',').filter(Boolean).map(Number))
  between.close()
  const { usage, quota } = await used()
  assert.equal(usage.length, 1)
  assert.equal(usage[0].requests, 1)
  assert.equal(usage[0].completion_tokens, sent.length)
  assert.equal(usage[0].prompt_tokens, whole.usage.prompt_tokens)
  assert.equal(quota.used, sent.length + whole.usage.prompt_tokens)
})
