// A model's markdown as blocks of safe HTML. Blocks that did not change keep
// their HTML, so a growing answer costs only its last block.

import DOMPurify from 'dompurify'
import { Marked, type Token, type Tokens, type TokensList } from 'marked'

export type Block = { code: string; lang: string } | { html: string }

/** Turns TeX into safe HTML, or returns undefined while it cannot yet. */
export type Typeset = (tex: string, display: boolean) => string | undefined

// What a model may write: text, never a picture that calls home or a form.
const allowed = {
  ALLOWED_TAGS: [
    'p', 'br', 'hr', 'em', 'strong', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a', 'span',
    'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'sub', 'sup',
  ],
  ALLOWED_ATTR: ['href', 'start', 'align', 'data-math'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
}

// HTML that a model writes is shown as it is written, and a picture as its
// words: neither gets as far as the browser's parser.
const escape = (s: string) => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

// Formulas as models write them. A lone $ is money unless what follows reads
// as a formula: no space inside the signs, and no digit after the second.
const inline = /^(?:\\\(([\s\S]+?)\\\)|\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\$(?![\s$])((?:\\[\s\S]|[^\\$\n])+?)(?<!\s)\$(?!\d))/
const block = /^(?: {0,3})(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n|$)/

interface MathToken extends Tokens.Generic {
  tex: string
  display: boolean
}

/** Leaves a place for a formula; [Renderer] fills it after the text is clean. */
const place = (token: Tokens.Generic) => `<span data-math="${(token as MathToken).display ? 'block' : 'inline'}">${escape((token as MathToken).tex)}</span>`

const marked = new Marked({
  renderer: { html: ({ text }) => escape(text), image: ({ text }) => escape(text) },
  extensions: [
    {
      name: 'mathBlock',
      level: 'block',
      start: (src) => /\$\$|\\\[/.exec(src)?.index,
      tokenizer(src): MathToken | undefined {
        const m = block.exec(src)
        return m ? { type: 'mathBlock', raw: m[0], tex: (m[1] ?? m[2])!.trim(), display: true } : undefined
      },
      renderer: place,
    },
    {
      name: 'math',
      level: 'inline',
      start: (src) => /\$|\\[([]/.exec(src)?.index,
      tokenizer(src): MathToken | undefined {
        const m = inline.exec(src)
        return m ? { type: 'math', raw: m[0], tex: (m[1] ?? m[2] ?? m[3] ?? m[4])!.trim(), display: (m[2] ?? m[3]) !== undefined } : undefined
      },
      renderer: place,
    },
  ],
})

const cleaner = DOMPurify(window)
cleaner.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName === 'A') {
    node.setAttribute('target', '_blank')
    node.setAttribute('rel', 'noopener noreferrer nofollow')
  }
})

export class Renderer {
  #known = new Map<string, string>()
  #typeset: Typeset

  constructor(typeset: Typeset) {
    this.#typeset = typeset
  }

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
      const html = this.#known.get(token.raw) ?? this.#render(token, tokens.links, next)
      if (!html.includes('data-math')) next.set(token.raw, html)
      out.push({ html })
    }
    this.#known = next
    return out
  }

  #render(token: Token, links: TokensList['links'], known: Map<string, string>): string {
    const one = Object.assign([token], { links }) as TokensList
    const html = cleaner.sanitize(marked.parser(one), allowed)
    if (!html.includes('data-math')) return html
    const typeset = html.replace(/<span data-math="(block|inline)">([^<]*)<\/span>/g, (all, how, tex) => this.#typeset(plain(tex), how === 'block') ?? all)
    if (!typeset.includes('data-math')) known.set(token.raw, typeset)
    return typeset
  }
}

/** Text as it was before the browser wrote it as HTML. */
function plain(html: string): string {
  return new DOMParser().parseFromString(html, 'text/html').body.textContent ?? ''
}
