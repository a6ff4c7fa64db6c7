// Tools and answers bound to a schema, in every library.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { tool as langchainTool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, Output, streamText, tool } from 'ai'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { model, question, url } from './network.mjs'

const at = { baseURL: `${url}/v1`, apiKey: 'none' }
const messages = [{ role: 'user', content: question }]
const Place = z.object({ city: z.enum(['Paris', 'Rome']), sunny: z.boolean() })
const parameters = {
  type: 'object',
  properties: { city: { type: 'string', enum: ['Paris', 'Rome'] }, sunny: { type: 'boolean' } },
  required: ['city', 'sunny'],
  additionalProperties: false,
}
const weather = { type: 'function', function: { name: 'weather', description: 'The weather of a city.', parameters } }

test('openai: calls a tool and takes its result', async () => {
  const client = new OpenAI(at)
  const r = await client.chat.completions.create({ model, messages, tools: [weather], tool_choice: 'required', parallel_tool_calls: false, max_tokens: 200 })
  const [choice] = r.choices
  assert.equal(choice.finish_reason, 'tool_calls')
  assert.equal(choice.message.tool_calls.length, 1)
  Place.parse(JSON.parse(choice.message.tool_calls[0].function.arguments))
  const after = await client.chat.completions.create({
    model, tools: [weather], tool_choice: 'none', max_tokens: 16,
    messages: [...messages, choice.message, { role: 'tool', tool_call_id: choice.message.tool_calls[0].id, content: 'rain' }],
  })
  assert.ok(after.choices[0].message.content !== null)
})

test('openai: streams a call', async () => {
  const stream = new OpenAI(at).chat.completions.stream({ model, messages, tools: [weather], tool_choice: { type: 'function', function: { name: 'weather' } }, max_tokens: 200 })
  const r = await stream.finalChatCompletion()
  assert.equal(r.choices[0].finish_reason, 'tool_calls')
  Place.parse(JSON.parse(r.choices[0].message.tool_calls[0].function.arguments))
})

test('openai: parses an answer bound to a schema', async () => {
  const client = new OpenAI(at)
  const r = await client.chat.completions.parse({ model, messages, response_format: zodResponseFormat(Place, 'place'), max_tokens: 200 })
  Place.parse(r.choices[0].message.parsed)
  const any = await client.chat.completions.create({ model, messages, response_format: { type: 'json_object' }, max_tokens: 64 })
  assert.equal(typeof JSON.parse(any.choices[0].message.content), 'object')
  await assert.rejects(client.chat.completions.create({ model, messages, response_format: { type: 'xml' } }), OpenAI.BadRequestError)
})

test('openai: responses call tools and keep to schemas', async () => {
  const client = new OpenAI(at)
  const ask = { model, input: question, max_output_tokens: 200 }
  const tools = [{ type: 'function', name: 'weather', description: 'The weather of a city.', parameters, strict: true }]
  const r = await client.responses.create({ ...ask, tools, tool_choice: 'required', parallel_tool_calls: false })
  const call = r.output.find((i) => i.type === 'function_call')
  Place.parse(JSON.parse(call.arguments))
  const after = await client.responses.create({
    ...ask, max_output_tokens: 16, tools, tool_choice: 'none',
    input: [{ role: 'user', content: question }, call, { type: 'function_call_output', call_id: call.call_id, output: 'rain' }],
  })
  assert.equal(after.object, 'response')
  const stream = client.responses.stream({ ...ask, tools, tool_choice: { type: 'function', name: 'weather' } })
  let written = ''
  for await (const event of stream) if (event.type === 'response.function_call_arguments.delta') written += event.delta
  const last = await stream.finalResponse()
  assert.equal(last.output.find((i) => i.type === 'function_call').arguments, written)
  const parsed = await client.responses.parse({ ...ask, text: { format: zodTextFormat(Place, 'place') } })
  Place.parse(parsed.output_parsed)
})

const providers = {
  openai: createOpenAI(at),
  'openai-compatible': createOpenAICompatible({ ...at, name: 'plexus', supportsStructuredOutputs: true }),
}
for (const [name, provider] of Object.entries(providers)) {
  test(`ai, ${name}: calls tools and keeps to schemas`, async () => {
    const ask = { model: provider(model), prompt: question, maxOutputTokens: 200 }
    const tools = { weather: tool({ description: 'The weather of a city.', inputSchema: Place }) }
    const r = await generateText({ ...ask, tools, toolChoice: 'required' })
    assert.equal(r.finishReason, 'tool-calls')
    Place.parse(r.toolCalls[0].input)
    const calls = await streamText({ ...ask, tools, toolChoice: { type: 'tool', toolName: 'weather' } }).toolCalls
    Place.parse(calls[0].input)
    const bound = await generateText({ ...ask, output: Output.object({ schema: Place }) })
    Place.parse(bound.output)
  })
}

test('langchain: calls tools and keeps to schemas', async () => {
  const chat = new ChatOpenAI({ model, maxTokens: 200, configuration: { baseURL: at.baseURL }, apiKey: 'none' })
  const own = langchainTool(() => 'rain', { name: 'weather', description: 'The weather of a city.', schema: Place })
  const r = await chat.bindTools([own], { tool_choice: 'weather' }).invoke(question)
  Place.parse(r.tool_calls[0].args)
  for (const method of ['jsonSchema', 'functionCalling']) {
    Place.parse(await chat.withStructuredOutput(Place, { name: 'place', method }).invoke(question))
  }
})

test('ollama: calls tools and keeps to schemas', async () => {
  const client = new Ollama({ host: url })
  const options = { num_predict: 200 }
  const r = await client.chat({ model, messages, format: parameters, options })
  Place.parse(JSON.parse(r.message.content))
  assert.equal(typeof JSON.parse((await client.generate({ model, prompt: question, format: 'json', options })).response), 'object')
  // Ollama knows no way to demand a call: what is offered may be called or not.
  const offered = await client.chat({ model, messages, tools: [weather], options })
  for (const c of offered.message.tool_calls ?? []) Place.parse(c.function.arguments)
  const after = await client.chat({
    model, options: { num_predict: 16 },
    messages: [
      ...messages,
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'weather', arguments: { city: 'Paris', sunny: true } } }] },
      { role: 'tool', content: 'rain', tool_name: 'weather' },
    ],
  })
  assert.equal(after.done, true)
})

test('anthropic: calls a tool and takes its result', async () => {
  const client = new Anthropic({ baseURL: url, apiKey: 'none' })
  const ask = { model, max_tokens: 200, messages, tools: [{ name: 'weather', description: 'The weather of a city.', input_schema: parameters }] }
  const r = await client.messages.create({ ...ask, tool_choice: { type: 'any', disable_parallel_tool_use: true } })
  assert.equal(r.stop_reason, 'tool_use')
  const use = r.content.find((b) => b.type === 'tool_use')
  Place.parse(use.input)
  const streamed = await client.messages.stream({ ...ask, tool_choice: { type: 'tool', name: 'weather' } }).finalMessage()
  Place.parse(streamed.content.find((b) => b.type === 'tool_use').input)
  const after = await client.messages.create({
    ...ask, max_tokens: 16, tool_choice: { type: 'none' },
    messages: [...messages, { role: 'assistant', content: r.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'rain' }] }],
  })
  assert.equal(after.type, 'message')
})
