// openai, the client that most programs use.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { model, noting, question, saturate, url } from './network.mjs'

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 })
const messages = [{ role: 'user', content: question }]

test('lists models with live figures', async () => {
  const models = []
  for await (const m of client.models.list()) models.push(m)
  const own = models.find((m) => m.id === model)
  assert.ok(own.plexus.miners > 0)
  assert.ok(own.plexus.by_miner[0].score > 0)
  assert.equal((await client.models.retrieve(model)).id, model)
})

test('chats', async () => {
  const { data, response } = await client.chat.completions
    .create({
      model, messages, max_completion_tokens: 24, temperature: 0.5, top_p: 0.9, seed: 7, n: 1, stop: ['@@'], user: 'me',
      presence_penalty: 0, frequency_penalty: 0, logit_bias: {}, store: false, metadata: { a: 'b' }, service_tier: 'auto',
      reasoning_effort: 'low', verbosity: 'low', prompt_cache_key: 'k', safety_identifier: 's',
    })
    .withResponse()
  assert.equal(data.object, 'chat.completion')
  assert.ok(data.choices[0].message.content.length > 0)
  assert.match(data.choices[0].finish_reason, /stop|length/)
  assert.ok(data.usage.completion_tokens > 0 && data.usage.completion_tokens <= 24)
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens)
  assert.ok(data.plexus.miners.some((m) => m.chosen))
  assert.equal(data._request_id, response.headers.get('x-request-id'))
  assert.ok(Number(response.headers.get('x-ratelimit-limit-requests')) > 0)
})

test('gives several answers with log-probabilities', async () => {
  const r = await client.chat.completions.create({ model, messages, n: 2, logprobs: true, top_logprobs: 3, max_tokens: 8, return_token_ids: true })
  assert.equal(r.choices.length, 2)
  for (const c of r.choices) {
    assert.equal(c.logprobs.content.length, c.token_ids.length)
    assert.equal(c.logprobs.content[0].top_logprobs.length, 3)
  }
  assert.equal(r.usage.completion_tokens, r.choices.reduce((n, c) => n + c.token_ids.length, 0))
})

test('streams, with exact usage', async () => {
  const stream = await client.chat.completions.create({
    model, messages, max_tokens: 32, stream: true, stream_options: { include_usage: true }, return_token_ids: true,
  })
  const chunks = await all(stream)
  const ids = chunks.flatMap((c) => c.choices[0]?.token_ids ?? [])
  assert.equal(chunks[0].choices[0].delta.role, 'assistant')
  assert.ok(chunks.slice(0, -1).every((c) => c.usage === null))
  assert.deepEqual(chunks.at(-1).choices, [])
  assert.equal(chunks.at(-1).usage.completion_tokens, ids.length)
  const collected = await client.chat.completions.stream({ model, messages, max_tokens: 8 }).finalChatCompletion()
  assert.ok(collected.choices[0].message.content.length > 0)
})

test('streams several answers at once', async () => {
  const stream = await client.chat.completions.create({
    model, messages, n: 3, max_tokens: 12, stream: true, stream_options: { include_usage: true }, return_token_ids: true,
  })
  const chunks = await all(stream)
  const said = ['', '', '']
  const ends = [0, 0, 0]
  let made = 0
  for (const { choices } of chunks) {
    for (const c of choices) {
      if (c.delta.role) assert.equal(said[c.index], '', 'the role comes first')
      assert.equal(ends[c.index], 0, 'nothing follows the end')
      said[c.index] += c.delta.content ?? ''
      made += c.token_ids?.length ?? 0
      if (c.finish_reason) ends[c.index]++
    }
  }
  assert.deepEqual(ends, [1, 1, 1])
  assert.ok(said.every((s) => s.length > 0))
  assert.deepEqual(chunks.at(-1).choices, [])
  assert.equal(chunks.filter((c) => c.usage).length, 1)
  const { usage } = chunks.at(-1)
  assert.equal(usage.completion_tokens, made)
  assert.equal(usage.total_tokens, usage.prompt_tokens + made)

  const collected = await client.chat.completions.stream({ model, messages, n: 2, max_tokens: 8 }).finalChatCompletion()
  assert.equal(collected.choices.length, 2)
  assert.ok(collected.choices.every((c) => c.message.content.length > 0 && /stop|length/.test(c.finish_reason)))

  const texts = await all(await client.completions.create({ model, prompt: 'Once upon a', n: 2, max_tokens: 8, stream: true }))
  assert.deepEqual([...new Set(texts.flatMap((c) => c.choices.map((x) => x.index)))].sort(), [0, 1])
})

test('stops a stream', async () => {
  const stream = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Tell me a story.' }], stream: true })
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break
  }
  assert.ok(stream.controller.signal.aborted)
})

test('completes text and scores it', async () => {
  const r = await client.completions.create({ model, prompt: 'Once upon a', max_tokens: 8, echo: true, logprobs: 2 })
  assert.match(r.choices[0].text, /^Once upon a/)
  assert.equal(r.choices[0].logprobs.token_logprobs[0], null)
  assert.equal(r.choices[0].logprobs.tokens.length, r.usage.total_tokens)
  const scored = await client.completions.create({ model, prompt: ['Once upon a', [5, 6, 7]], max_tokens: 0, echo: true, logprobs: 1 })
  assert.equal(scored.choices[1].logprobs.tokens.length, 3)
  assert.equal(scored.usage.completion_tokens, 0)
  const known = await client.completions.create({ model, prompt: [5, 6, 7], max_tokens: 1, prompt_logprobs: 2 })
  assert.equal(known.choices[0].prompt_logprobs[0], null)
  assert.ok(known.choices[0].prompt_logprobs[1]['6'].logprob <= 0)
})

test('embeds', async () => {
  const r = await client.embeddings.create({ model, input: ['a lighthouse', 'the sea'] }) // asks for base64
  assert.equal(r.data.length, 2)
  const norm = Math.hypot(...r.data[0].embedding)
  assert.ok(Math.abs(norm - 1) < 1e-3, `norm ${norm}`)
  const plain = await client.embeddings.create({ model, input: 'a lighthouse', encoding_format: 'float' })
  plain.data[0].embedding.forEach((x, i) => assert.ok(Math.abs(x - r.data[0].embedding[i]) < 1e-5))
  assert.ok(r.usage.prompt_tokens > 1)
})

test('responds', async () => {
  const r = await client.responses.create({ model, input: question, instructions: 'Be brief.', max_output_tokens: 24 })
  assert.ok(r.output_text.length > 0)
  assert.equal(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens)
  const stream = client.responses.stream({ model, input: [{ role: 'user', content: question }], max_output_tokens: 24 })
  const numbers = []
  let text = ''
  for await (const event of stream) {
    numbers.push(event.sequence_number)
    if (event.type === 'response.output_text.delta') text += event.delta
  }
  assert.deepEqual(numbers, numbers.map((_, i) => i))
  assert.equal((await stream.finalResponse()).output_text, text)
  await assert.rejects(client.responses.create({ model, input: 'x', previous_response_id: 'resp_1' }), (e) => e.param === 'previous_response_id')
})

test('tells errors apart', async () => {
  await assert.rejects(client.chat.completions.create({ model: 'gpt-9', messages }), (e) =>
    e instanceof OpenAI.NotFoundError && e.code === 'model_not_found' && e.param === 'model' && e.type === 'invalid_request_error')
  await assert.rejects(client.chat.completions.create({ model, messages, temperature: 9 }), (e) =>
    e instanceof OpenAI.BadRequestError && e.param === 'temperature' && !!e.requestID)
  await assert.rejects(client.chat.completions.create({ model, messages, frequency_penalty: 1 }), (e) => e.code === 'unsupported_parameter')
  await assert.rejects(client.embeddings.create({ model, input: [] }), OpenAI.BadRequestError)
})

test('retries when there is no room', async () => {
  const release = await saturate()
  try {
    await assert.rejects(client.chat.completions.create({ model, messages }), (e) => e instanceof OpenAI.RateLimitError && e.code === 'rate_limit_exceeded')
    const seen = []
    const patient = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 5, fetch: noting(seen) })
    setTimeout(release, 500)
    const r = await patient.chat.completions.create({ model, messages, max_tokens: 4 })
    assert.ok(r.choices[0].message.content !== undefined)
    assert.equal(seen[0], 429)
    assert.equal(seen.at(-1), 200)
  } finally {
    release()
  }
})

async function all(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}
