// @anthropic-ai/sdk, the client of Anthropic's own API.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { model, noting, question, saturate, url } from './network.mjs'

const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 })
const messages = [{ role: 'user', content: question }]

test('lists models', async () => {
  const models = []
  for await (const m of client.models.list()) models.push(m)
  assert.ok(models.some((m) => m.id === model && m.type === 'model'))
  assert.equal((await client.models.retrieve(model)).id, model)
})

test('answers', async () => {
  const r = await client.messages.create({
    model, max_tokens: 24, system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
    messages, stop_sequences: ['@@'], metadata: { user_id: 'me' }, temperature: 0.5, top_k: 40,
  })
  assert.equal(r.role, 'assistant')
  assert.ok(r.content[0].text.length > 0)
  assert.match(r.stop_reason, /end_turn|max_tokens/)
  assert.ok(r.usage.input_tokens > 0 && r.usage.output_tokens > 0 && r.usage.output_tokens <= 24)
  assert.ok(r._request_id)
})

test('streams', async () => {
  const stream = client.messages.stream({ model, max_tokens: 24, messages })
  let text = ''
  stream.on('text', (t) => (text += t))
  const r = await stream.finalMessage()
  assert.equal(r.content[0].text, text)
  assert.ok(text.length > 0 && r.usage.output_tokens > 0)
})

test('stops at a stop sequence', async () => {
  const whole = await client.messages.create({ model, max_tokens: 24, messages, temperature: 0 })
  const word = whole.content[0].text.trim().split(/\s+/)[1]
  const cut = await client.messages.create({ model, max_tokens: 24, messages, temperature: 0, stop_sequences: [word] })
  assert.equal(cut.stop_reason, 'stop_sequence')
  assert.equal(cut.stop_sequence, word)
})

test('counts tokens', async () => {
  const counted = await client.messages.countTokens({ model, messages })
  const r = await client.messages.create({ model, max_tokens: 1, messages })
  assert.equal(counted.input_tokens, r.usage.input_tokens)
})

test('tells errors apart', async () => {
  await assert.rejects(client.messages.create({ model: 'claude-9', max_tokens: 5, messages }), (e) =>
    e instanceof Anthropic.NotFoundError && e.error.error.type === 'not_found_error' && !!e.requestID)
  await assert.rejects(client.messages.create({ model, max_tokens: 0, messages }), Anthropic.BadRequestError)
})

test('retries when there is no room', async () => {
  const seen = []
  const patient = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 5, fetch: noting(seen) })
  const release = await saturate()
  setTimeout(release, 500)
  try {
    await patient.messages.create({ model, max_tokens: 4, messages })
  } finally {
    release()
  }
  assert.equal(seen[0], 429)
  assert.equal(seen.at(-1), 200)
})
