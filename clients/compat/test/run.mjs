// Starts a whole network and runs the suites against it. PLEXUS is the binary,
// PLEXUS_URL a gateway that runs already, PLEXUS_PORT the first of four ports.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

const here = import.meta.dirname
const plexus = process.env.PLEXUS ?? path.resolve(here, '../../../bin/plexus')

/** Tells whether something listens on a port of this host. */
function taken(port) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(true))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(false)))
  })
}

/** Returns the first of n free ports in a row. */
async function freePorts(n, from) {
  for (let first = from; first < 60000; first += n) {
    const busy = await Promise.all(Array.from({ length: n }, (_, i) => taken(first + i)))
    if (!busy.includes(true)) return first
  }
  throw new Error(`no ${n} free ports in a row`)
}

/** Waits until the gateway answers a question. */
async function answers(url, model, alive) {
  const ask = () =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 }),
    })
  for (let i = 0; i < 600 && alive(); i++) {
    try {
      if ((await ask()).ok) return
    } catch {
      // it does not listen yet
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error('the network gave no answer')
}

async function start(home) {
  const port = await freePorts(4, Number(process.env.PLEXUS_PORT ?? 31000 + (process.pid % 200) * 100))
  const at = (i) => `127.0.0.1:${port + i}`
  const up = spawn(
    plexus,
    ['up', '--home', home, '--validators', '1', '--miners', '2', '--cheats', 'none',
      '--http', at(0), '--grpc', at(1), '--rpc', at(2), '--rest', at(3)],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  up.once('error', (error) => console.error(`${plexus}: ${error.message}`))
  return { up, url: `http://${at(0)}` }
}

const home = await mkdtemp(path.join(tmpdir(), 'plexus-compat-'))
const network = process.env.PLEXUS_URL ? { url: process.env.PLEXUS_URL } : await start(home)
const running = () => !network.up || (network.up.exitCode === null && network.up.signalCode === null && network.up.pid)
try {
  const model = process.env.PLEXUS_MODEL ?? 'plexus-4m'
  await answers(network.url, model, running)
  const suites = process.argv.slice(2)
  const files = (await readdir(here)).filter((f) => f.endsWith('.test.mjs') && (!suites.length || suites.some((s) => f.startsWith(s))))
  const test = spawn(process.execPath, ['--test', '--test-concurrency=1', ...files.map((f) => path.join(here, f))], {
    stdio: 'inherit',
    env: { ...process.env, PLEXUS_URL: network.url, PLEXUS_MODEL: model },
  })
  const [code] = await once(test, 'exit')
  process.exitCode = code ?? 1
} finally {
  if (network.up && running()) {
    network.up.kill('SIGINT')
    await once(network.up, 'exit')
  }
  await rm(home, { recursive: true, force: true })
}
