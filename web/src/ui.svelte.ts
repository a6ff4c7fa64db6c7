// Which sheet lies over the page. One at a time.

import type { Turn } from './tree'

export type Sheet =
  | { name: 'settings' | 'models' | 'account' | 'files' | 'help' }
  | { name: 'compare'; turn: Turn }
  | { name: 'receipt'; turn: Turn }
  | { name: 'share' }

type Theme = 'system' | 'light' | 'dark'
const themes: Theme[] = ['system', 'light', 'dark']

class UI {
  sheet = $state.raw<Sheet | undefined>()
  theme = $state<Theme>((document.documentElement.dataset.theme as Theme | undefined) ?? 'system')
  singleKeys = $state(stored('plexus.keys') !== 'off') // shortcuts of one character

  show(sheet: Sheet) {
    this.sheet = sheet
  }

  close() {
    this.sheet = undefined
  }

  turnTheme() {
    this.theme = themes[(themes.indexOf(this.theme) + 1) % themes.length]!
    if (this.theme === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = this.theme
    keep('plexus.theme', this.theme)
  }

  setSingleKeys(on: boolean) {
    this.singleKeys = on
    keep('plexus.keys', on ? 'on' : 'off')
  }
}

function stored(name: string): string | null {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

function keep(name: string, value: string) {
  try {
    localStorage.setItem(name, value)
  } catch {
    // It lasts as long as the page, then.
  }
}

export const ui = new UI()
