// Starts a whole network and runs the suites against it. PLEXUS is the binary,
// PLEXUS_URL a gateway that runs already, PLEXUS_PORT the first of four ports.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as up from './up.mjs'

const here = import.meta.dirname
const home = await mkdtemp(path.join(tmpdir(), 'plexus-compat-'))
const given = process.env.PLEXUS_URL
const network = given ? { url: given, running: () => true, stop: () => {} } : await up.startNetwork(home, 2)
try {
  const model = process.env.PLEXUS_MODEL ?? up.model
  await up.answers(network.url, model, network.running)
  const suites = process.argv.slice(2)
  const files = (await readdir(here)).filter((f) => f.endsWith('.test.mjs') && (!suites.length || suites.some((s) => f.startsWith(s))))
  const test = spawn(process.execPath, ['--test', '--test-concurrency=1', ...files.map((f) => path.join(here, f))], {
    stdio: 'inherit',
    env: { ...process.env, PLEXUS_URL: network.url, PLEXUS_MODEL: model },
  })
  const [code] = await once(test, 'exit')
  process.exitCode = code ?? 1
} finally {
  await network.stop()
  await rm(home, { recursive: true, force: true })
}
