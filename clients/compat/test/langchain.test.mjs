// LangChain's chat model and embeddings on OpenAI's API.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HumanMessage, SystemMessage } from '@langchain/core/messages'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { model, noting, question, saturate, url } from './network.mjs'

const at = { configuration: { baseURL: `${url}/v1` }, apiKey: 'none' }
const chat = (more) => new ChatOpenAI({ model, maxTokens: 24, maxRetries: 0, ...at, ...more })

for (const useResponsesApi of [false, true]) {
  const name = useResponsesApi ? 'responses' : 'chat'

  test(`${name}: answers`, async () => {
    const r = await chat({ useResponsesApi }).invoke([new SystemMessage('Be brief.'), new HumanMessage(question)])
    assert.ok(r.text.length > 0)
    assert.ok(r.usage_metadata.output_tokens > 0)
    assert.equal(r.usage_metadata.total_tokens, r.usage_metadata.input_tokens + r.usage_metadata.output_tokens)
  })

  test(`${name}: streams`, async () => {
    let all
    for await (const chunk of await chat({ useResponsesApi }).stream(question)) all = all ? all.concat(chunk) : chunk
    assert.ok(all.text.length > 0)
    assert.ok(all.usage_metadata.output_tokens > 0)
  })
}

test('embeds', async () => {
  const embeddings = new OpenAIEmbeddings({ model, ...at })
  const vectors = await embeddings.embedDocuments(['a lighthouse', 'the sea'])
  assert.equal(vectors.length, 2)
  const one = await embeddings.embedQuery('a lighthouse')
  one.forEach((x, i) => assert.ok(Math.abs(x - vectors[0][i]) < 1e-5))
})

test('tells errors apart', async () => {
  await assert.rejects(chat({ model: 'gpt-9' }).invoke('x'), (e) => e.status === 404 && e.code === 'model_not_found')
  await assert.rejects(chat({ temperature: 9 }).invoke('x'), (e) => e.status === 400)
})

test('retries when there is no room', async () => {
  const seen = []
  const patient = chat({ maxRetries: 5, configuration: { ...at.configuration, fetch: noting(seen) } })
  const release = await saturate()
  setTimeout(release, 500)
  try {
    await patient.invoke(question)
  } finally {
    release()
  }
  assert.equal(seen[0], 429)
  assert.equal(seen.at(-1), 200)
})
