// A gateway of make-believe, so that the page can be tried and tested without
// a network: `node test/fake.mjs [port]` serves dist and the API it uses. Words
// in a prompt decide what happens: code, math, think, tool, evil, slow, break,
// fail, busy, locked, bare, and forged, unproven or patient for the receipt.

import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { desk, record, validator } from './desk.mjs'
import { market, shell } from './market.mjs'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const kinds = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.txt': 'text/plain' }
const policy = /const policy = "([^"]*)" \+\s*"([^"]*)"/.exec(await readFile(new URL('../web.go', import.meta.url), 'utf8'))

const miners = [
  [0, 0.97, 0.341, 84, 42, ''],
  [1, 0.95, 0.332, 121, 39, ''],
  [2, 0.93, 0.325, 96, 40, ''],
  [3, 0, 0.001, 61, 77, 'the margins are those of another model: log-likelihood ratio 9.4 over 61 tokens'],
  [4, 0, 0, 12, 310, 'the text does not follow from the seed'],
].map(([uid, score, incentive, latency_ms, rate, reason]) => ({
  uid, account: `plx1${'q8zw5m2nk7x4t9c0'.slice(uid)}${'h3jv'}${uid}`, peer: `12D3KooW${uid}`, score, incentive, latency_ms, rate, alive: true, in_flight: 0, reason,
}))
const absent = { ...miners[0], uid: 6, account: 'plx1nobodyathome0000', score: 0, incentive: 0, latency_ms: null, rate: 0, alive: false, reason: 'no answer within 10s' }

const models = [
  { id: 'plexus-4m', max_model_len: 1024, plexus: { subnet: 1, miners: 5, proven: 3, score: 0.95, tokens_per_second: { p50: 41, p95: 77 }, ttft_ms: { p50: 84, p95: 121 }, precision: 'f16' } },
  { id: 'plexus-8b', max_model_len: 8192, plexus: { subnet: 2, miners: 12, proven: 9, score: 0.88, tokens_per_s: { p50: 24, p95: 31 }, ttft_ms: 240, precision: 'q8_0' } },
  { id: 'bare-model' },
].map((m) => ({ object: 'model', created: 1, owned_by: 'plexus', ...m }))

const story = 'Once there was a lighthouse on a small grey island. Every evening an old keeper climbed its stairs and lit the lamp. One night the fog came in so thick that the lamp could not be seen. The keeper rang a bell instead, all night long. In the morning five boats lay safe in the harbour. Since then the bell rings whenever the fog comes.'
const answers = {
  code: 'Here is a loop in **Go**:\n\n```go\n// ask says hello to every miner.\nfunc ask(n int) {\n\tfor i := range n {\n\t\tfmt.Println("miner", i, "of a rather long line that must scroll inside its own box and never widen the page")\n\t}\n}\n```\n\n| uid | score |\n| --- | --- |\n| 0 | 0.97 |\n| 1 | 0.95 |\n\nThat is all.',
  math: 'The roots of $ax^2 + bx + c = 0$ are\n\n$$x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$$\n\nand a sum of weights is \\(\\sum_{i=1}^{n} w_i = 1\\). Coffee is $3 and tea is $2.\n\n\\[ \\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix} \\vec{v} = \\color{teal} \\lambda \\vec{v} \\]',
  think: '<think>The user wants a short answer. 7 + 5 is 12.</think>\n\nIt is **12**.',
  evil: 'Look: <img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> [link](javascript:window.hacked=1) ![p](https://evil.example/a.png) [good](https://example.com) $\\href{javascript:window.hacked=1}{x}$ $\\includegraphics{https://evil.example/b.png}$ $\\style{background:url(https://evil.example/c.png)}{y}$',
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms))
const begun = Date.now()
const height = () => 12_345 + Math.floor((Date.now() - begun) / 1000)

function report(id, asked, q, text, receipt) {
  const chosen = asked.find((m) => m.score > 0)
  const vote = q.plexus.strategy === 'vote'
  const say = (m) => (m.score ? (m === chosen ? text : text.replace('small grey', 'windy').replace('**12**', vote && m.uid === 1 ? '**13**' : '**12**')) : 'The quick brown fox jumps over the lazy dog.')
  return {
    request_id: id, model: q.model, strategy: q.plexus.strategy, subnet: 1, height: height(), validator, receipt,
    why: q.plexus.strategy === 'best' ? `highest score, ${chosen.score.toFixed(2)}, of 3 answers that hold` : vote ? '2 of 3 accepted answers agree' : `first text of ${asked.length} miners, after ${chosen.latency_ms} ms`,
    miners: asked.map((m) => ({
      uid: m.uid, account: m.account, peer: m.peer, standing: m.score, latency_ms: m.latency_ms, total_ms: m.latency_ms + 64_000 / m.rate, tokens: 64,
      tokens_per_s: m.rate, score: m.score, verdict: m.score ? 'accepted' : 'rejected', reason: m.reason, chosen: m === chosen, text: say(m), ...(vote && m.score && { vote: m.uid === 1 ? '13' : '12' }),
    })),
    ...(vote && { votes: [{ answer: '12', weight: 1.9, miners: asked.filter((m) => m.score && m.uid !== 1).map((m) => m.uid) }, { answer: '13', weight: 0.95, miners: [1] }] }),
    ...(text === story && asked.length === 2 && { resumed: [{ from_uid: 1, to_uid: 0, at_token: 31, gap_ms: 86 }] }),
  }
}

const json = (res, status, body, headers = {}) => res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
const refuse = (res, status, code, message, headers) => json(res, status, { error: { message, type: status < 500 ? 'invalid_request_error' : 'server_error', param: null, code } }, headers)

let busy = 0 // requests that were told to wait

/** Answers from now on as if nobody had been told to wait. */
export const calm = () => (busy = 0)
export const asked = [] // bodies of chat requests, the latest last

async function chat(q, res) {
  asked.push(q)
  const last = q.messages.at(-1)
  const words = last.content
  if (words.includes('fail')) return refuse(res, 503, 'no_miners', 'no miner of plexus-4m can be reached now; try again in a few seconds')
  if (words.includes('locked')) return refuse(res, 401, 'invalid_api_key', 'the API key is not valid here; sign in again')
  if (words.includes('busy') && busy++ === 0) return refuse(res, 429, 'rate_limited', 'the quota of anonymous users is spent: 4000 tokens a day; the next are free in 8 s', { 'retry-after': '8' })
  const id = `req_${asked.length}`
  res.writeHead(200, { 'content-type': 'text/event-stream', 'x-receipt-id': `rcpt_${asked.length}` })
  let gone = false
  res.on('close', () => (gone = true))
  const send = (choices, more = {}) => res.write(`data: ${JSON.stringify({ id: 'chatcmpl-fake', object: 'chat.completion.chunk', created: 1, model: q.model, choices, ...more })}\n\n`)
  const delta = (d) => send([{ index: 0, delta: d, finish_reason: null }])
  delta({ role: 'assistant', content: '' })
  res.write(': ping\n\n')
  const tool = words.includes('tool') && last.role === 'user'
  const text = tool ? '' : (Object.entries(answers).find(([word]) => words.includes(word))?.[1] ?? story)
  if (words.includes('reason')) for (const part of ['Lighthouses are ', 'old. A keeper ', 'is needed.']) delta({ reasoning_content: part })
  if (tool) {
    delta({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }] })
    for (const part of ['{"city": ', '"Oslo", "days"', ': 3}']) delta({ tool_calls: [{ index: 0, function: { arguments: part } }] })
  }
  for (const word of text.split(/(?<= )/)) {
    if (gone) return
    delta({ content: word })
    await wait(words.includes('slow') ? 200 : 4)
    if (words.includes('break') && word.startsWith('island')) {
      res.write(`data: ${JSON.stringify({ error: { message: 'the answer broke off and no other miner could go on with it: miner 0: it stopped in the middle; ask again', type: 'server_error', param: null, code: 'answer_broken' } })}\n\n`)
      return res.end()
    }
  }
  send([{ index: 0, delta: {}, finish_reason: tool ? 'tool_calls' : 'stop' }])
  const who = miners.slice(0, q.plexus.miners)
  const receipt = record(`rcpt_${asked.length}`, { model: q.model, messages: q.messages, text, miner: who.find((m) => m.score), height: height(), score: 0.97 })
  if (!words.includes('bare')) send([], { plexus: report(id, who, q, text, receipt) })
  send([], { usage: { prompt_tokens: 20, completion_tokens: 64, total_tokens: 84 } })
  res.end('data: [DONE]\n\n')
}

async function file(path, res) {
  try {
    const body = await readFile(join(dist, normalize(path === '/' ? '/index.html' : path)))
    res.writeHead(200, { 'content-type': kinds[extname(path)] ?? kinds['.html'], 'content-security-policy': policy[1] + policy[2] })
    res.end(body)
  } catch {
    res.writeHead(404).end()
  }
}

async function answer(req, res) {
  const path = new URL(req.url, 'http://x').pathname
  let body = ''
  for await (const part of req) body += part
  const q = body ? JSON.parse(body) : undefined
  if (path.startsWith('/console/')) return market(req, res, path, q)
  if (path === '/api/network') {
    return json(res, 200, { chain_id: 'plexus-fake', height: height(), running: 1, subnets: [{ netuid: 1, model: 'plexus-4m', context: 1024, max_tokens: 512, validator, miners: [...miners, absent] }] })
  }
  if (path === '/v1/models') return json(res, 200, { object: 'list', data: models })
  if (path === '/v1/chat/completions') return chat(q, res)
  const said = desk(req.method, path, q, req.headers.authorization?.replace('Bearer ', ''))
  return said ? json(res, said.status, said.body) : file(path, res)
}

/** Starts the fake on a port, 0 for any, and returns its server. */
export async function start(port = 0) {
  const server = createServer((req, res) => void answer(req, res))
  server.on('upgrade', shell)
  await new Promise((ready) => server.listen(port, '127.0.0.1', ready))
  return server
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await start(Number(process.argv[2] ?? 8099))
  console.log(`http://127.0.0.1:${server.address().port}`)
}
