// What all suites need to know of the network that run.mjs started.
import http from 'node:http'

export const url = process.env.PLEXUS_URL
export const model = process.env.PLEXUS_MODEL
export const question = 'What is the capital of France?'

/** A fetch that notes every status it saw. */
export function noting(seen) {
  return async (...args) => {
    const response = await fetch(...args)
    seen.push(response.status)
    return response
  }
}

/**
 * Takes all the room that the gateway has, by requests whose bodies do not
 * come, until the function that it returns is called.
 */
export async function saturate() {
  const agent = new http.Agent({ keepAlive: false })
  const open = []
  const hold = () => {
    const request = http.request(`${url}/v1/chat/completions`, { agent, method: 'POST', headers: { 'content-length': '10' } })
    request.on('error', () => {}) // it is cut off in the end
    request.flushHeaders()
    open.push(request)
  }
  for (let i = 0; i < 50; i++) {
    for (let j = 0; j < 32; j++) hold()
    await new Promise((resolve) => setTimeout(resolve, 100))
    const probe = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: '{}' })
    await probe.text()
    if (probe.status === 429) break
  }
  return () => open.forEach((r) => r.destroy())
}
