// Conversations as files, and as links that hold all they show.

import { checkChat, Unfit } from './check'
import { path, type Chat } from './tree'
import { w } from './words'

export function asJSON(chats: Chat[]): string {
  return JSON.stringify({ format: 'plexus.chats', version: 1, exported: new Date().toISOString(), chats }, null, 1)
}

/** The path of each conversation that is shown, as markdown. */
export function asMarkdown(chats: Chat[]): string {
  return chats.map(one).join('\n\n---\n\n')
}

function one(chat: Chat): string {
  const out = [`# ${chat.title}`]
  if (chat.settings?.system.trim()) out.push(`> ${chat.settings.system.trim().replaceAll('\n', '\n> ')}`)
  for (const t of path(chat)) {
    const who = t.role === 'user' ? w.files.you : t.role === 'tool' ? w.files.tool : (t.model ?? w.files.answer)
    out.push(`## ${who}`)
    if (t.thought) out.push(`<details><summary>${w.thought.title}</summary>\n\n${t.thought}\n\n</details>`)
    if (t.content) out.push(t.content)
    for (const c of t.calls ?? []) out.push(`\`${c.name}\`\n\n\`\`\`json\n${c.arguments}\n\`\`\``)
    const told = t.report?.miners.find((m) => m.chosen)
    if (told) out.push(`*${w.files.by(told.uid, told.score, t.report!.subnet, t.report!.height)}*`)
  }
  return out.join('\n\n') + '\n'
}

/** Hands a file to the user. */
export function download(name: string, kind: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: kind }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** A name that every file system takes. */
export function nameOf(title: string, ending: string): string {
  const plain = title.normalize('NFKD').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60)
  return `${plain || 'chat'}.${ending}`
}

const longest = 32_000 // characters of a link's hash: what browsers and messengers carry
const unpacked = 1_000_000 // bytes that a link may grow to

/** The hash of a link that shows the conversation's path, or throws [Unfit]. */
export async function shareHash(chat: Chat): Promise<string> {
  const turns = path(chat).map((t) => ({
    id: t.id, parent: t.parent, role: t.role, content: t.content, at: t.at, state: t.state, model: t.model, thought: t.thought, calls: t.calls, call: t.call, receipt: t.receipt,
    // Other miners' texts are many times the answer's length.
    report: t.report && { ...t.report, miners: t.report.miners.map((m) => ({ ...m, content: undefined })) },
  }))
  const text = JSON.stringify({ id: chat.id, title: chat.title, created: chat.created, updated: chat.updated, turns })
  const packed = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream('deflate-raw'))).arrayBuffer()
  const hash = `#share=${base64url(new Uint8Array(packed))}`
  if (hash.length > longest) throw new Unfit(w.share.long(hash.length, longest))
  return hash
}

/** The conversation in a link's hash; undefined when it holds none. */
export async function shared(hash: string): Promise<Chat | undefined> {
  if (!hash.startsWith('#share=')) return undefined
  if (hash.length > longest) throw new Unfit(w.share.long(hash.length, longest))
  let text: string
  try {
    const packed = Uint8Array.from(atob(hash.slice(7).replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
    text = await inflate(packed)
  } catch (e) {
    if (e instanceof Unfit) throw e
    throw new Unfit(w.share.broken)
  }
  let v: unknown
  try {
    v = JSON.parse(text)
  } catch {
    throw new Unfit(w.share.broken)
  }
  return checkChat(v, w.share.link)
}

/** Unpacks, but no more than a link may hold. */
async function inflate(packed: Uint8Array<ArrayBuffer>): Promise<string> {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader()
  const parts: Uint8Array<ArrayBuffer>[] = []
  for (let size = 0; ; ) {
    const { value, done } = await reader.read()
    if (done) return await new Blob(parts).text()
    size += value.length
    if (size > unpacked) {
      void reader.cancel()
      throw new Unfit(w.share.long(size, unpacked))
    }
    parts.push(value)
  }
}

function base64url(bytes: Uint8Array): string {
  let s = ''
  for (const b of bytes) s += String.fromCharCode(b)
  return btoa(s).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}
