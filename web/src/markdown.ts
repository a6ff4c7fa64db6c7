// A model's markdown as blocks of safe HTML. Blocks that did not change keep
// their HTML, so a growing answer costs only its last block.

import DOMPurify from 'dompurify'
import { marked, type Token, type Tokens, type TokensList } from 'marked'

export type Block = { code: string; lang: string } | { html: string }

// What a model may write: text, never a picture that calls home or a form.
const allowed = {
  ALLOWED_TAGS: [
    'p', 'br', 'hr', 'em', 'strong', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a',
    'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'sub', 'sup',
  ],
  ALLOWED_ATTR: ['href', 'start', 'align'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
}

// HTML that a model writes is shown as it is written, and a picture as its
// words: neither gets as far as the browser's parser.
const escape = (s: string) => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
marked.use({ renderer: { html: ({ text }) => escape(text), image: ({ text }) => escape(text) } })

const cleaner = DOMPurify(window)
cleaner.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName === 'A') {
    node.setAttribute('target', '_blank')
    node.setAttribute('rel', 'noopener noreferrer nofollow')
  }
})

export class Renderer {
  #known = new Map<string, string>()

  blocks(text: string): Block[] {
    const tokens = marked.lexer(text)
    const next = new Map<string, string>()
    const out: Block[] = []
    for (const token of tokens) {
      if (token.type === 'space' || token.type === 'def') continue
      if (token.type === 'code') {
        const code = token as Tokens.Code
        out.push({ code: code.text, lang: (code.lang ?? '').split(/\s/)[0] ?? '' })
        continue
      }
      const html = this.#known.get(token.raw) ?? render(token, tokens.links)
      next.set(token.raw, html)
      out.push({ html })
    }
    this.#known = next
    return out
  }
}

function render(token: Token, links: TokensList['links']): string {
  const one = Object.assign([token], { links }) as TokensList
  return cleaner.sanitize(marked.parser(one), allowed)
}
