/** The data of each server-sent event of a body. */
export async function* stream(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let rest = ''
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      rest += value
      for (let at = rest.indexOf('\n\n'); at >= 0; at = rest.indexOf('\n\n')) {
        const event = rest.slice(0, at)
        rest = rest.slice(at + 2)
        if (event.startsWith('data: ')) yield event.slice(6)
      }
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}
