// A tenant's console of make-believe: the API of /console/v1, on a market whose
// providers bid at once. What it refuses it refuses as the real one does.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'

export const token = 'token-of-make-believe'
const example = await readFile(new URL('../../docs/examples/web.yaml', import.meta.url), 'utf8')
const me = 'plx1tenant0000000000000000000000000000qqqqq'
const provider = (n) => `plx1provider${n}0000000000000000000000000pppp${n}`
const GiB = 2 ** 30

const rate = (hour) => ({ block: `${(hour / 3600).toFixed(9)}plx`, hour: `${hour}plx`, month: `${(hour * 720).toFixed(6)}plx` })
const providers = [
  [1, 'eu-west', 0.0173, 0.55, [['tier', 'community'], ['capabilities/storage/1/class', 'beta3']]],
  [2, 'us-east', 0.0218, 0.2, [['tier', 'datacenter'], ['capabilities/gpu/vendor/nvidia/model/a100', 'true']]],
  [3, 'ap-south', 0, 0.97, [['tier', 'community']]],
].map(([n, region, hour, full, more]) => ({
  provider: provider(n), host_uri: `https://provider${n}.example:8443`, attributes: [{ key: 'region', value: region }, ...more.map(([key, value]) => ({ key, value }))],
  screening: hour ? { ok: true, price: `${hour}nplx` } : { ok: false, kind: 'resource', reason: 'too little cpu: 500 asked for, 240 free' },
  status: {
    engine: 'gvisor', bidding: true, leases: Math.round(full * 40),
    capacity: { cpu: 16_000 * n, memory: 64 * n * GiB, gpu: n === 2 ? 4 : 0, ...(n === 2 && { gpus: { 'vendor/nvidia/model/a100/ram/80Gi': 4 } }), storage: { '': 500 * n * GiB, ...(n === 1 && { beta3: 1000 * GiB }) } },
    free: { cpu: 16_000 * n * (1 - full), memory: 64 * n * GiB * (1 - full * 0.8), gpu: n === 2 ? 1 : 0, ...(n === 2 && { gpus: { 'vendor/nvidia/model/a100/ram/80Gi': 1 } }), storage: { '': 500 * n * GiB * (1 - full / 2), ...(n === 1 && { beta3: 700 * GiB }) } },
    used: { cpu: 16_000 * n * full * 0.4, memory: 64 * n * GiB * full * 0.5, disk: 500 * n * GiB * full * 0.2, in: 0, out: 0 },
  },
  ...(hour && { rate: rate(hour) }),
  ...(n !== 2 && { measured: [{ netuid: 5, subnet: 'machines', ...(n === 1 ? { score: 0.973, place: 2, of: 9 } : { score: 0, place: 0, of: 9 }) }] }),
}))
providers.push({ provider: provider(4), host_uri: 'https://gone.example:8443', screening: { ok: false, kind: 'unreachable', reason: 'it does not answer' } })

const deployments = new Map()
let balance = 250
let shop = 0 // the deployment to which shop.example leads

/** A market as it was at first. */
export function reset() {
  deployments.clear()
  balance = 250
  shop = 0
  for (const [dseq, reason, spent] of [[1, 'owner', '1.284319plx'], [2, 'insufficient funds', '0.5plx']]) {
    const began = new Date(Date.UTC(2026, 10, 20 + dseq, 9, 30)).toISOString()
    const ended = new Date(Date.UTC(2026, 10, 22 + dseq, 14, 3)).toISOString()
    const lease = { group: 1, price: '4806 nplx', opened: 100 * dseq, closed: 267_000 * dseq, began, ended }
    deployments.set(dseq, {
      dseq, state: 'closed', reason, spent, left: 0, began, ended, names: [],
      past: [
        { ...lease, id: `${me}/${dseq}/1/2/${provider(1)}`, provider: provider(1), reason, cost: spent },
        ...(dseq === 1 ? [{ ...lease, id: `${me}/1/1/1/${provider(4)}`, provider: provider(4), reason: 'unstable', cost: '0.014plx', began: undefined, ended: undefined }] : []),
      ],
    })
  }
}
reset()

const wait = (ms) => new Promise((done) => setTimeout(done, ms))
const refusal = (code, message, problems) => ({ error: { message, code, problems } })

function listed(d) {
  const runs = d.state === 'active' && d.lease
  const seconds = runs ? Math.round((d.left / 0.0173) * 3600) : -1
  return {
    dseq: d.dseq, state: d.state, reason: d.reason, groups: 1, leases: runs ? 1 : 0, price: runs ? '0.000004806plx' : '0 nplx', spent: d.spent, opened: 100 * d.dseq, began: d.began, ended: d.ended,
    runway: { blocks: seconds, seconds, left: `${d.left}plx` }, rate: runs ? rate(0.0173) : { block: '0 nplx', hour: '0 nplx', month: '0 nplx' },
  }
}

/** Names and addresses of a deployment whose SDL asks for them. */
function owns(d) {
  if (!d.shop) return {}
  return { names: [{ host: 'shop.example', here: shop === d.dseq }], addresses: [{ endpoint: 'front', ip: d.ip, port: 443 }] }
}

function state(d) {
  if (!d.lease || d.state !== 'active') return null
  const ready = d.sent && Date.now() - d.sent > 900
  const replicas = [0, 1].map((number) => ({
    number, state: ready || number === 0 ? 'running' : 'starting', since: new Date(d.sent ?? 0).toISOString(), restarts: number, used: { cpu: 120 + 40 * number, memory: (90 + number) * 2 ** 20, disk: 12 * 2 ** 20, in: 0, out: 0 },
  }))
  const services = d.sent ? [{ name: 'web', total: 2, running: ready ? 2 : 1, urls: ['http://p96s2ti6oe90htlpa4um.provider1.example'], ports: [{ service: 'web', external: 9000, host: 30412 }], ...owns(d), replicas }] : []
  return { owner: me, dseq: d.dseq, ready: !!ready, leases: [{ id: d.lease, manifest: d.sent ? 'ab12' : '', ready: !!ready, services, provider: provider(1), price: '4806 nplx' }] }
}

/** Checks an SDL as far as the tests write one. */
function check(sdl) {
  const lines = sdl.split('\n')
  const at = lines.findIndex((l) => /\d+Mb\b/.test(l))
  if (at >= 0) {
    const word = /\d+Mb/.exec(lines[at])[0]
    return { valid: false, problems: [{ line: at + 1, column: lines[at].indexOf(word) + 1, path: 'profiles.compute.web.resources.memory.size', text: `size "${word}" is no number with a unit; did you mean ${word.replace('Mb', 'Mi')}?` }] }
  }
  if (!sdl.includes('deployment:')) return { valid: false, problems: [{ line: 1, text: 'deployment is missing; it says what runs where' }] }
  return {
    valid: true, problems: [], highest: rate(0.18), least_deposit: { amount: '0.5plx' },
    summary: { services: 1, groups: 1, total_replicas: 1, total_cpu_milli: 500, total_memory_bytes: 256 * 2 ** 20, total_storage_bytes: 512 * 2 ** 20, total_gpu_units: 0 },
  }
}

const story = ['listening on :80', 'loaded 14 routes in 3 ms', 'GET / 200 1.2 ms', 'GET /style.css 200 0.4 ms', 'upstream is slow: 812 ms', 'GET /healthz 200 0.1 ms', 'GET /about 200 0.9 ms']

async function* bids(d) {
  const one = (n, hour) => ({ id: `${me}/${d.dseq}/1/1/${provider(n)}`, group: 1, provider: provider(n), rate: rate(hour) })
  yield { bids: [] }
  await wait(300)
  yield { bids: [one(2, 0.0218)] }
  await wait(300)
  yield { bids: [one(1, 0.0173), one(2, 0.0218)] }
  await wait(60_000)
}

async function* logs(d) {
  for (let i = 0; ; i++) {
    const text = story[i % story.length]
    yield { group: 1, line: { service: 'web', replica: i % 2, time: new Date().toISOString(), stream: text.includes('slow') ? 'stderr' : 'stdout', text } }
    await wait(i < 12 ? 5 : 700)
  }
}

async function* events(d) {
  const told = [['', 'manifest', 'manifest ab12f00d9931 is to run'], ['web', 'pull', 'fetching image nginx:1.29-alpine'], ['web/0', 'started', 'runs at 10.4.0.2'], ['web/1', 'failed', 'the image’s user 1001 may not write /var/cache; trying again in 1 s'], ['web/1', 'started', 'runs at 10.4.0.3']]
  for (const [i, [where, kind, text]] of told.entries()) yield { group: 1, event: { number: i + 1, time: new Date((d.sent ?? 0) + 100 * i).toISOString(), where, kind, text } }
  await wait(60_000)
}

/** What a provider kept of a lease that has ended. */
async function* kept(lease, what) {
  if (lease?.provider !== provider(1)) {
    yield refusal('not_found', 'api: no such lease here: it ended more than 7 days ago')
    return
  }
  const at = (i) => new Date(Date.UTC(2026, 10, 22, 14, 0, i)).toISOString()
  if (what === 'logs') for (const [i, text] of [...story, 'SIGTERM: bye'].entries()) yield { group: 1, line: { service: 'web', replica: 0, time: at(i), stream: 'stdout', text } }
  else for (const [i, [where, kind, text]] of [['web/0', 'started', 'runs at 10.4.0.2'], ['web/0', 'stop', 'the lease has ended']].entries()) yield { group: 1, event: { number: i + 1, time: at(i), where, kind, text } }
  yield { end: true }
}

/** Answers what a console is asked; undefined when it is none of its paths. */
export async function market(req, res, path, q) {
  if (!path.startsWith('/console/v1/')) return undefined
  const json = (status, body) => res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(body))
  if (req.headers.authorization !== `Bearer ${token}`) return json(401, refusal('token', 'no token, or another one than this console’s: open the whole link that plexus console printed when it started'))
  const [what, number, of, within] = path.slice(12).split('/')
  const d = deployments.get(Number(number))
  const stream = async (all) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    let gone = false
    res.on('close', () => (gone = true))
    for await (const one of all) {
      if (gone) return
      res.write(`data: ${JSON.stringify(one)}\n\n`)
    }
    res.end()
  }
  if (what === 'account') return json(200, { name: 'bob', address: me, balance: `${balance}plx`, chain_id: 'plexus-fake', height: 4242, block_seconds: 1 })
  if (what === 'templates') return json(200, [{ name: 'web', title: 'A small web server', text: example }])
  if (what === 'sdl') return json(200, check(q.sdl))
  if (what === 'providers' && req.method === 'GET') return json(200, { providers })
  if (what === 'providers') return json(200, { groups: [{ number: 1, name: 'anywhere', providers }] })
  if (what === 'deployments' && !number && req.method === 'GET') {
    const all = new URL(req.url, 'http://x').searchParams.get('all') === 'true'
    return json(200, { deployments: [...deployments.values()].filter((d) => all || d.state === 'active').map(listed) })
  }
  if (what === 'deployments' && !number) {
    const deposit = parseFloat(q.deposit || '0.5')
    if (deposit > balance) return json(409, refusal('chain_refused', `deploy 1 groups: spendable balance ${balance}plx is smaller than ${deposit}plx: insufficient funds`))
    const dseq = deployments.size + 1
    balance -= deposit
    deployments.set(dseq, { dseq, state: 'active', spent: '0 nplx', left: deposit })
    return json(200, { dseq, deposit: `${deposit}plx`, groups: 1 })
  }
  if (what !== 'deployments' || !d) return json(404, refusal('not_found', `deployment ${me}/${number}: ledger: not found`))
  if (of === 'bids') return stream(bids(d))
  if (of === 'logs') return stream(logs(d))
  if (of === 'events') return stream(events(d))
  if (of === 'past' && within) {
    const id = new URL(req.url, 'http://x').searchParams.get('lease')
    return stream(kept(d.past?.find((l) => l.id === id), within))
  }
  if (of === 'past') return json(200, { leases: d.past ?? [] })
  if (of === 'addresses' && req.method === 'GET') {
    const held = (o) => ({ dseq: o.dseq, group: 1, provider: provider(1), endpoint: 'front', ip: o.ip })
    return json(200, { held: [held(d)], others: [...deployments.values()].filter((o) => o.shop && o !== d && o.state === 'active').map(held) })
  }
  if (of === 'hosts') shop = d.dseq
  else if (of === 'addresses') {
    const other = deployments.get(q.with)
    ;[d.ip, other.ip] = [other.ip, d.ip]
  } else if (of === 'leases') d.lease = q.bids[0]
  else if (of === 'manifest' || req.method === 'PUT') {
    d.sent = Date.now()
    if ((d.shop = q.sdl.includes('shop.example'))) {
      d.ip ??= `203.0.113.${16 + d.dseq}`
      shop ||= d.dseq
    }
    d.spent = '0.002114plx'
  } else if (of === 'topup') d.left += parseFloat(q.amount)
  else if (req.method === 'DELETE') {
    balance += d.left
    const now = new Date().toISOString()
    Object.assign(d, { state: 'closed', reason: 'owner', left: 0, began: now, ended: now })
    if (d.lease) d.past = [{ id: d.lease, group: 1, provider: provider(1), price: '4806 nplx', opened: 100 * d.dseq, closed: 4242, began: now, ended: now, reason: 'owner', cost: d.spent }]
  } else return json(200, { deployment: listed(d), state: state(d) })
  return json(200, { done: [] })
}

const prompt = '\x1b[1;32m/ #\x1b[0m '
const said = { 'uname -a': 'Linux web-0 4.19.0-gvisor #1 SMP x86_64 Linux', ls: 'bin   dev   etc   home  proc  root  srv   tmp   usr   var', pwd: '/' }

/** Opens a shell's websocket, in which a few commands work. */
export function shell(req, socket) {
  const offered = (req.headers['sec-websocket-protocol'] ?? '').split(', ')
  if (!offered.includes(`plexus.token.${token}`)) return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
  const accept = createHash('sha1').update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: plexus.shell.v1\r\n\r\n`)
  const send = (kind, text) => {
    const body = Buffer.from(text)
    socket.write(Buffer.concat([Buffer.from(body.length < 126 ? [0x80 | kind, body.length] : [0x80 | kind, 126, body.length >> 8, body.length & 255]), body]))
  }
  const print = (text) => send(2, text)
  let line = ''
  let size = ''
  const type = (key) => {
    if (key === '\r') {
      print('\r\n')
      if (line === 'exit') return send(1, JSON.stringify({ end: { code: 7 } }))
      if (line) print(`${line === 'stty size' ? size : (said[line] ?? `sh: ${line}: not found`)}\r\n`)
      line = ''
      return print(prompt)
    }
    line += key
    print(key)
  }
  let rest = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (part) => {
    rest = Buffer.concat([rest, part])
    while (rest.length >= 6) { // all that a browser sends here is masked and short
      const long = (rest[1] & 127) === 126
      const length = long ? rest.readUInt16BE(2) : rest[1] & 127
      const from = long ? 8 : 6
      if (rest.length < from + length) return
      const body = Buffer.from(rest.subarray(from, from + length).map((b, i) => b ^ rest[from - 4 + (i % 4)]))
      const kind = rest[0] & 15
      rest = rest.subarray(from + length)
      if (kind === 8) return socket.end(Buffer.from([0x88, 0]))
      if (kind === 1) size = Object.values(JSON.parse(body).resize).join(' ')
      if (kind === 2) for (const key of String(body)) type(key)
    }
  })
  print(`${prompt}`)
}
