// Formulas. The library that sets them is loaded when the first one comes.

import DOMPurify from 'dompurify'

type Temml = typeof import('temml')['default']

const most = 500 // formulas that are remembered
const longest = 5_000 // characters of one

class Typesetter {
  #temml = $state.raw<Temml | undefined>()
  #loading = false
  #known = new Map<string, string>()
  #cleaner = DOMPurify(window)

  /** MathML of a formula, or undefined while the library is on its way. */
  typeset = (tex: string, display: boolean): string | undefined => {
    if (!this.#temml) {
      if (!this.#loading) void this.#load()
      return undefined
    }
    const name = `${display}${tex}`
    let out = this.#known.get(name)
    if (out === undefined) {
      out = this.#set(this.#temml, tex.slice(0, longest), display)
      if (this.#known.size >= most) this.#known.clear()
      this.#known.set(name, out)
    }
    return out
  }

  async #load() {
    this.#loading = true
    try {
      const [code] = await Promise.all([import('temml'), import('./math.css')])
      this.#temml = code.default
    } catch {
      this.#loading = false // the network is away; the next formula tries again
    }
  }

  #set(temml: Temml, tex: string, display: boolean): string {
    const html = temml.renderToString(tex, { displayMode: display, throwOnError: false, trust: false, maxExpand: 500, maxSize: [20, 20], strict: false, annotate: true })
    // The page's policy takes no styles in HTML; [dress] sets them by script.
    return this.#cleaner.sanitize(html.replaceAll(' style="', ' data-style="'), {
      USE_PROFILES: { mathMl: true },
      ADD_TAGS: ['semantics', 'annotation', 'span'], // a span tells what is wrong with a formula
      ADD_ATTR: ['class', 'title'],
      FORBID_ATTR: ['href', 'xlink:href', 'src', 'id', 'name'],
    })
  }
}

export const math = new Typesetter()

/** Gives formulas their styles. They may not load anything. */
export function dress(root: HTMLElement): void {
  for (const el of root.querySelectorAll<MathMLElement>('[data-style]')) {
    const style = el.getAttribute('data-style') ?? ''
    if (!/url|image|expression|@/i.test(style)) el.style.cssText = style
    el.removeAttribute('data-style')
  }
}
