// The AI SDK, with its provider for OpenAI, which speaks the Responses API,
// and the one for compatible servers, which speaks chat.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, embed, embedMany, generateText, streamText } from 'ai'
import { model, noting, question, saturate, url } from './network.mjs'

const at = { baseURL: `${url}/v1`, apiKey: 'none' }
const providers = {
  openai: createOpenAI(at),
  'openai-compatible': createOpenAICompatible({ ...at, name: 'plexus', includeUsage: true }),
}

for (const [name, provider] of Object.entries(providers)) {
  test(`${name}: answers`, async () => {
    const r = await generateText({ model: provider(model), system: 'Be brief.', prompt: question, maxOutputTokens: 24 })
    assert.ok(r.text.length > 0)
    assert.match(r.finishReason, /stop|length/)
    assert.ok(r.usage.outputTokens > 0 && r.usage.inputTokens > 0)
  })

  test(`${name}: streams`, async () => {
    const r = streamText({ model: provider(model), prompt: question, maxOutputTokens: 24 })
    let text = ''
    for await (const part of r.textStream) text += part
    assert.equal(text, await r.text)
    assert.ok(text.length > 0)
    assert.ok((await r.usage).outputTokens > 0)
  })

  test(`${name}: embeds`, async () => {
    const embedding = provider.textEmbeddingModel?.(model) ?? provider.embeddingModel(model)
    const one = await embed({ model: embedding, value: 'a lighthouse' })
    assert.ok(one.embedding.length > 8)
    const many = await embedMany({ model: embedding, values: ['a lighthouse', 'the sea'] })
    assert.equal(many.embeddings.length, 2)
    assert.ok(many.usage.tokens > 0)
  })

  test(`${name}: tells errors apart`, async () => {
    await assert.rejects(generateText({ model: provider('gpt-9'), prompt: 'x', maxRetries: 0 }), (e) =>
      APICallError.isInstance(e) && e.statusCode === 404 && !e.isRetryable && /gpt-9/.test(e.message))
    await assert.rejects(generateText({ model: provider(model), prompt: 'x', temperature: 9, maxRetries: 0 }), (e) => e.statusCode === 400)
  })
}

test('retries when there is no room', async () => {
  const seen = []
  const provider = createOpenAICompatible({ ...at, name: 'plexus', fetch: noting(seen) })
  const release = await saturate()
  setTimeout(release, 500)
  try {
    await generateText({ model: provider(model), prompt: question, maxOutputTokens: 4, maxRetries: 5 })
  } finally {
    release()
  }
  assert.equal(seen[0], 429)
  assert.equal(seen.at(-1), 200)
})
