// ollama, the client of Ollama's own API.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ollama } from 'ollama'
import { model, question, saturate, url } from './network.mjs'

const client = new Ollama({ host: url })
const messages = [{ role: 'user', content: question }]
const options = { num_predict: 24, temperature: 0.5, seed: 7, num_ctx: 2048 }

test('lists and shows models', async () => {
  assert.ok((await client.list()).models.some((m) => m.name === model))
  assert.ok((await client.ps()).models.some((m) => m.name === model))
  const shown = await client.show({ model })
  assert.ok(shown.capabilities.includes('completion'))
  assert.ok(shown.model_info['general.parameter_count'] > 0)
  assert.match((await client.version()).version, /^\d+\.\d+/)
})

test('chats', async () => {
  const r = await client.chat({ model, messages, options })
  assert.ok(r.message.content.length > 0)
  assert.equal(r.done, true)
  assert.ok(r.eval_count > 0 && r.eval_count <= 24 && r.prompt_eval_count > 0 && r.total_duration > 0)
})

test('streams', async () => {
  let text = ''
  let last
  for await (const part of await client.chat({ model: `${model}:latest`, messages, options, stream: true })) {
    text += part.message.content
    last = part
  }
  assert.ok(text.length > 0)
  assert.match(last.done_reason, /stop|length/)
  assert.ok(last.eval_count > 0)
})

test('generates', async () => {
  const r = await client.generate({ model, prompt: 'Once upon a', raw: true, options })
  assert.ok(r.response.length > 0)
  let text = ''
  for await (const part of await client.generate({ model, prompt: question, system: 'Be brief.', options, stream: true })) text += part.response
  assert.ok(text.length > 0)
})

test('embeds', async () => {
  const r = await client.embed({ model, input: ['a lighthouse', 'the sea'] })
  assert.equal(r.embeddings.length, 2)
  const old = await client.embeddings({ model, prompt: 'a lighthouse' })
  old.embedding.forEach((x, i) => assert.ok(Math.abs(x - r.embeddings[0][i]) < 1e-5))
})

test('tells errors apart', async () => {
  await assert.rejects(client.chat({ model: 'gpt-9', messages }), (e) => e.status_code === 404 && /gpt-9/.test(e.message))
  await assert.rejects(client.chat({ model, messages, options: { temperature: 9 } }), (e) => e.status_code === 400 && /options.temperature/.test(e.message))
  const release = await saturate()
  try {
    await assert.rejects(client.chat({ model, messages }), (e) => e.status_code === 429 && /try again/.test(e.message))
  } finally {
    release()
  }
})
