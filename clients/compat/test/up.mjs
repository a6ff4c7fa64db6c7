// Starts whole networks, and further miners of them, in processes of their own.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import path from 'node:path'

/** The binary: PLEXUS, or the one that make build made. */
export const plexus = process.env.PLEXUS ?? path.resolve(import.meta.dirname, '../../../bin/plexus')

/** The model of the networks that this file starts. */
export const model = 'plexus-4m'

/** Tells whether something listens on a port of this host. */
function taken(port) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(true))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(false)))
  })
}

/**
 * Returns the first of n free ports in a row, below those that Linux gives to
 * whoever asks for any.
 */
async function freePorts(n, from) {
  for (let first = from; first < 32000; first += n) {
    const busy = await Promise.all(Array.from({ length: n }, (_, i) => taken(first + i)))
    if (!busy.includes(true)) return first
  }
  throw new Error(`no ${n} free ports in a row`)
}

/** Waits until the gateway answers a question. */
export async function answers(url, model, alive) {
  const ask = () =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 }),
    })
  for (const until = Date.now() + 600_000; Date.now() < until && alive(); ) {
    try {
      if ((await ask()).ok) return
    } catch {
      // it does not listen yet
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error('the network gave no answer')
}

const alive = (child) => child.exitCode === null && child.signalCode === null && child.pid !== undefined

/** Ends a process, and waits for its end. */
async function end(child, signal) {
  if (!alive(child)) return
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

/**
 * Runs plexus up on a home folder until stop is called. PLEXUS_PORT is the first
 * of its four ports.
 */
export async function startNetwork(home, miners) {
  const port = await freePorts(4, Number(process.env.PLEXUS_PORT ?? 12000 + (process.pid % 190) * 100))
  const at = (i) => `127.0.0.1:${port + i}`
  const up = spawn(
    plexus,
    ['up', '--home', home, '--validators', '1', '--miners', String(miners), '--cheats', 'none',
      '--http', at(0), '--grpc', at(1), '--rpc', at(2), '--rest', at(3)],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  up.once('error', (error) => console.error(`${plexus}: ${error.message}`))
  return { home, url: `http://${at(0)}`, running: () => alive(up), stop: () => end(up, 'SIGINT') }
}

/** Runs a command to its end, and returns what it prints. */
function command(...args) {
  const ran = spawnSync(plexus, args, { encoding: 'utf8' })
  if (ran.status !== 0) throw new Error(`plexus ${args.join(' ')}: ${ran.error ?? ran.stderr}`)
  return ran.stdout
}

/** Checks a receipt's file offline, with the text of its answer. */
export const receiptVerify = (file, text) => command('receipt', 'verify', file, '--text', text)

/** A miner in a process of its own, which can be killed and started again. */
export class Miner {
  #home
  #name
  #child

  /** Makes a key and registers it on subnet 1, for a second of work. */
  constructor(home, name) {
    this.#home = home
    this.#name = name
    command('keys', 'create', name, '--home', home)
    const told = command('tx', 'subnet', 'register-neuron', '1', '--pow', '--from', name, '--home', home)
    this.uid = Number(told.match(/uid (\d+)/)[1])
  }

  start() {
    this.#child = spawn(plexus, ['miner', '--from', this.#name, '--home', this.#home, '--threads', '1'], { stdio: ['ignore', 'ignore', 'inherit'] })
  }

  /** Kills the process as a crash would: it has no time to say anything. */
  kill() {
    return end(this.#child, 'SIGKILL')
  }
}
