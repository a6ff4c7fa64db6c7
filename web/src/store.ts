// Where conversations are kept: IndexedDB, in this browser alone. Earlier
// pages kept them in localStorage; those are taken over once.

import { checkChat } from './check'
import type { Chat } from './tree'

const old = 'plexus.chats' // localStorage, before
const lastWords = 'plexus.unsaved' // localStorage, what a closing page could not hand to the database in time

let opened: Promise<IDBDatabase> | undefined

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((done, fail) => {
    const req = indexedDB.open('plexus', 1)
    req.onupgradeneeded = () => req.result.createObjectStore('chats', { keyPath: 'id' })
    req.onsuccess = () => {
      req.result.onversionchange = () => req.result.close()
      done(req.result)
    }
    req.onerror = () => fail(req.error)
    req.onblocked = () => fail(new Error('another tab holds the database'))
  })
  return opened
}

/** Runs one transaction and waits until it is on disk. */
async function write(act: (chats: IDBObjectStore) => void): Promise<void> {
  const db = await open()
  await new Promise<void>((done, fail) => {
    const tx = db.transaction('chats', 'readwrite')
    tx.oncomplete = () => done()
    tx.onerror = tx.onabort = () => fail(tx.error)
    act(tx.objectStore('chats'))
  })
}

export const keep = (...all: Chat[]) => write((s) => all.forEach((c) => s.put(c)))
export const forget = (...ids: string[]) => write((s) => ids.forEach((id) => s.delete(id)))

/** One conversation, or undefined when it is gone. */
export async function find(id: string): Promise<Chat | undefined> {
  const db = await open()
  return new Promise((done, fail) => {
    const req = db.transaction('chats').objectStore('chats').get(id)
    req.onsuccess = () => done(req.result)
    req.onerror = () => fail(req.error)
  })
}

/** All conversations, those of earlier pages included. */
export async function all(): Promise<Chat[]> {
  const moved = [...leftBehind(old), ...leftBehind(lastWords)]
  if (moved.length) await keep(...moved)
  forgetUnsaved()
  localStorage.removeItem(old)
  const db = await open()
  return new Promise((done, fail) => {
    const req = db.transaction('chats').objectStore('chats').getAll()
    req.onsuccess = () => done(req.result)
    req.onerror = () => fail(req.error)
  })
}

/** What localStorage holds under a name. What cannot be read is put aside. */
function leftBehind(name: string): Chat[] {
  const text = localStorage.getItem(name)
  if (!text) return []
  const out: Chat[] = []
  let whole = true
  try {
    for (const one of JSON.parse(text)) {
      try {
        out.push(checkChat(one, name))
      } catch {
        whole = false
      }
    }
  } catch {
    whole = false
  }
  if (!whole) localStorage.setItem(`${name}.unread`, text)
  return out
}

/** Drops what [keepNow] kept: the page lives on, or it was taken over. */
export function forgetUnsaved(): void {
  localStorage.removeItem(lastWords)
}

/** Keeps what is being written while the page closes, which a database may not. */
export function keepNow(chats: Chat[]): void {
  try {
    if (chats.length) localStorage.setItem(lastWords, JSON.stringify(chats))
  } catch {
    // What was saved a moment ago remains.
  }
}
