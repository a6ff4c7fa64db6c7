// A gateway of make-believe, so that the page can be tried and tested without
// a network: `node test/fake.mjs [port]` serves dist and the API it uses.

import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const kinds = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.txt': 'text/plain' }
const policy = /const policy = "([^"]*)" \+\s*"([^"]*)"/.exec(await readFile(new URL('../web.go', import.meta.url), 'utf8'))

const validator = { uid: 5, account: 'plxvaloper1qk3m7w0c2x8f5t9y', peer: '12D3KooWVal' }
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

const answers = {
  code: 'Here is a loop in **Go**:\n\n```go\nfor i := range 3 {\n\tfmt.Println("miner", i, "of a rather long line that must scroll inside its own box and never widen the page")\n}\n```\n\n| uid | score |\n| --- | --- |\n| 0 | 0.97 |\n| 1 | 0.95 |\n\nThat is all.',
  evil: 'Look: <img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> [link](javascript:window.hacked=1) ![p](https://evil.example/a.png) [good](https://example.com)',
  story: 'Once there was a lighthouse on a small grey island. Every evening an old keeper climbed its stairs and lit the lamp. One night the fog came in so thick that the lamp could not be seen. The keeper rang a bell instead, all night long. In the morning five boats lay safe in the harbour. Since then the bell rings whenever the fog comes.',
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms))

function report(asked, strategy, judged) {
  const chosen = asked.find((m) => m.score > 0)
  return {
    request_id: 'req_fake', strategy, why: strategy === 'best' ? `highest score, ${chosen.score.toFixed(2)}, of 3 answers that hold` : `first text of ${asked.length} miners, after ${chosen.latency_ms} ms`,
    subnet: 1, height: height(), validator,
    miners: asked.map((m) => ({
      uid: m.uid, account: m.account, peer: m.peer, standing: m.score, latency_ms: m.latency_ms, total_ms: m.latency_ms + 64_000 / m.rate, tokens: 64,
      score: judged ? m.score : null, verdict: judged ? (m.score ? 'accepted' : 'rejected') : 'pending', reason: judged ? m.reason : '', chosen: m === chosen,
      content: m.score ? answers.story : 'The quick brown fox jumps over the lazy dog.',
    })),
  }
}

const begun = Date.now()
const height = () => 12_345 + Math.floor((Date.now() - begun) / 1000)

async function chat(req, res) {
  let body = ''
  for await (const part of req) body += part
  const q = JSON.parse(body)
  const words = q.messages.at(-1).content
  if (words.includes('fail')) {
    res.writeHead(503, { 'content-type': 'application/json' })
    return res.end(JSON.stringify({ error: { message: 'no miner of plexus-4m can be reached now; try again in a few seconds', type: 'server_error', param: null, code: 'no_miners' } }))
  }
  const text = words.includes('code') ? answers.code : words.includes('evil') ? answers.evil : answers.story
  const slow = words.includes('slow') ? 200 : 8
  const asked = miners.slice(0, q.plexus.miners)
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  let gone = false
  res.on('close', () => (gone = true))
  const send = (choices, more = {}) => res.write(`data: ${JSON.stringify({ id: 'chatcmpl-fake', object: 'chat.completion.chunk', created: 1, model: q.model, choices, ...more })}\n\n`)
  await wait(80)
  for (const word of text.split(/(?<= )/)) {
    if (gone) return
    send([{ index: 0, delta: { content: word }, finish_reason: null }])
    await wait(slow)
    if (words.includes('break') && word.startsWith('island')) {
      res.write(`data: ${JSON.stringify({ error: { message: 'the answer broke off and no other miner could go on with it: miner 0: it stopped in the middle; ask again', type: 'server_error', param: null, code: 'answer_broken' } })}\n\n`)
      return res.end()
    }
  }
  send([{ index: 0, delta: {}, finish_reason: 'stop' }])
  await wait(150)
  send([], { plexus: report(asked, q.plexus.strategy, true) })
  send([], { usage: { prompt_tokens: 20, completion_tokens: 64, total_tokens: 84 } })
  res.end('data: [DONE]\n\n')
}

async function file(req, res) {
  const path = new URL(req.url, 'http://x').pathname
  try {
    const body = await readFile(join(dist, normalize(path === '/' ? '/index.html' : path)))
    res.writeHead(200, { 'content-type': kinds[extname(path)] ?? kinds['.html'], 'content-security-policy': policy[1] + policy[2] })
    res.end(body)
  } catch {
    res.writeHead(404).end()
  }
}

/** Starts the fake on a port, 0 for any, and returns its server. */
export async function start(port = 0) {
  const server = createServer((req, res) => {
    if (req.url === '/api/network') {
      res.writeHead(200, { 'content-type': 'application/json' })
      res.end(JSON.stringify({ height: height(), running: 1, subnets: [{ netuid: 1, model: 'plexus-4m', context: 1024, max_tokens: 512, validator, miners: [...miners, absent] }] }))
    } else if (req.url === '/v1/chat/completions') void chat(req, res)
    else void file(req, res)
  })
  await new Promise((ready) => server.listen(port, '127.0.0.1', ready))
  return server
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await start(Number(process.argv[2] ?? 8099))
  console.log(`http://127.0.0.1:${server.address().port}`)
}
