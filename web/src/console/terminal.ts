// A terminal whose other end is a shell's websocket.

import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import '@xterm/xterm/css/xterm.css'

/** What elements of the terminal do with a style attribute: the same, by the way that a policy allows. */
function setAttribute(this: HTMLElement, name: string, value: string) {
  if (name === 'style') this.style.cssText = value
  else Element.prototype.setAttribute.call(this, name, value)
}

/**
 * While a terminal lives, style elements put their rules into sheets of the
 * page instead, and style attributes are set by script: the page's policy
 * forbids styles in markup, and not those. The returned function ends it.
 */
function styledByScript(): () => void {
  const sheets: CSSStyleSheet[] = []
  const real = document.createElement
  const create = function (this: Document, name: string, ...more: never[]) {
    const node = real.call(this, name === 'style' ? 'template' : name, ...more)
    node.setAttribute = setAttribute
    if (name === 'style') {
      const sheet = new CSSStyleSheet()
      sheets.push(sheet)
      document.adoptedStyleSheets.push(sheet)
      Object.defineProperty(node, 'textContent', { set: (rules: string) => sheet.replaceSync(rules) })
    }
    return node
  }
  document.createElement = create as typeof real
  return () => {
    if (document.createElement === create) document.createElement = real
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((s) => !sheets.includes(s))
  }
}

export interface Ending {
  code: number
  error?: string
}

/** Opens a terminal in a box; the returned function closes both. */
export function open(box: HTMLElement, connect: (rows: number, columns: number) => WebSocket, label: string, ended: (how: Ending | undefined, opened: boolean) => void): () => void {
  const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  const dark = matchMedia('(prefers-color-scheme: dark)').matches ? document.documentElement.dataset.theme !== 'light' : document.documentElement.dataset.theme === 'dark'
  const theme = dark ? { background: '#0e1615', foreground: '#e8e9e2', cursor: '#5fc4ba', selectionBackground: '#2a5a55' } : { background: '#fffefb', foreground: '#17211f', cursor: '#0b6560', selectionBackground: '#b9d8d0' }
  const unstyle = styledByScript()
  const terminal = new Terminal({ theme, fontFamily: colour('--mono') || 'monospace', fontSize: 13, cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches, screenReaderMode: true, minimumContrastRatio: 4.5, scrollback: 5000 })
  const fit = new FitAddon()
  terminal.loadAddon(fit)
  terminal.open(box)
  terminal.textarea?.setAttribute('aria-label', label)
  fit.fit()

  const socket = connect(terminal.rows, terminal.cols)
  socket.binaryType = 'arraybuffer'
  let over = false
  let opened = false
  socket.onopen = () => (opened = true)
  const end = (how: Ending | undefined) => {
    if (!over) ended(how, opened)
    over = true
  }
  const encode = new TextEncoder()
  const send = (data: string | Uint8Array<ArrayBuffer>) => socket.readyState === WebSocket.OPEN && socket.send(data)
  socket.onmessage = ({ data }) => {
    if (typeof data === 'string') end(JSON.parse(data).end)
    else terminal.write(new Uint8Array(data))
  }
  socket.onclose = () => end(undefined)
  terminal.onData((text) => {
    const typed = encode.encode(text)
    for (let at = 0; at < typed.length; at += 32_768) send(typed.slice(at, at + 32_768))
  })
  terminal.onResize(({ rows, cols }) => send(JSON.stringify({ resize: { rows, columns: cols } })))
  terminal.attachCustomKeyEventHandler((e) => {
    if (!(e.ctrlKey && e.shiftKey && e.code === 'KeyE')) return true
    e.preventDefault()
    if (e.type === 'keydown') (box.closest('section')?.querySelector('button[aria-pressed="true"]') as HTMLElement | null)?.focus()
    return false
  })
  const sized = new ResizeObserver(() => fit.fit())
  sized.observe(box)
  box.scrollIntoView({ block: 'nearest' })
  terminal.focus()
  return () => {
    over = true
    sized.disconnect()
    socket.close()
    terminal.dispose()
    unstyle()
  }
}
