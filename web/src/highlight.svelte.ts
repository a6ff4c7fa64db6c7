// Colours for code. The library is loaded when the first code comes.

import type { HLJSApi } from 'highlight.js'

const longest = 50_000 // characters of one piece; longer ones stay plain

class Highlighter {
  #hljs = $state.raw<HLJSApi | undefined>()
  #loading = false

  /** HTML of code in spans, or undefined where it stays plain. */
  paint(code: string, lang: string): string | undefined {
    if (!lang || code.length > longest) return undefined
    if (!this.#hljs) {
      if (!this.#loading) void this.#load()
      return undefined
    }
    if (!this.#hljs.getLanguage(lang)) return undefined
    return this.#hljs.highlight(code, { language: lang, ignoreIllegals: true }).value
  }

  async #load() {
    this.#loading = true
    try {
      this.#hljs = (await import('./languages')).default
    } catch {
      this.#loading = false // the network is away; the next code tries again
    }
  }
}

export const highlighter = new Highlighter()
