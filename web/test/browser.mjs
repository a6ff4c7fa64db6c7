// A real browser for the tests. It looks at the fake gateway, or at a running
// one: PLEXUS_URL=http://127.0.0.1:8080 npm test. Chromium is looked for at
// CHROMIUM or /usr/bin/chromium. Pictures go to shots/.

import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { start } from './fake.mjs'

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const shots = fileURLToPath(new URL('../shots/', import.meta.url))
export const real = process.env.PLEXUS_URL
export const fakeOnly = { skip: !!real }
export let url
let server, browser
const trouble = []
const patience = 180_000 // milliseconds; machines that run tests are slow

before(async () => {
  server = real ? undefined : await start()
  url = real ?? `http://127.0.0.1:${server.address().port}`
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  await mkdir(shots, { recursive: true })
})

after(async () => {
  await browser?.close()
  server?.closeAllConnections()
  server?.close()
})

/** Opens the page in a fresh profile, and waits until a model can be asked; prepare may act on it before it loads. */
export async function open({ width = 1280, theme = 'light', hash = '', prepare, at = url, wait = !hash } = {}) {
  const context = await browser.newContext({ viewport: { width, height: width < 500 ? 740 : 820 }, colorScheme: theme, reducedMotion: 'reduce', acceptDownloads: true })
  const page = await context.newPage()
  page.setDefaultTimeout(patience)
  page.on('pageerror', (e) => trouble.push(String(e)))
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && !/status of [45]\d\d|ERR_INTERNET_DISCONNECTED/.test(m.text()) && trouble.push(m.text()))
  await prepare?.(page)
  await page.goto(at + '/' + hash)
  if (wait) await ready(page)
  return page
}

/** Waits until a model can be asked. */
export const ready = (page) => page.locator('.model .name').filter({ hasNotText: 'no model' }).waitFor()

export const shot = (page, name) => page.screenshot({ path: `${shots}${name}.png` })

export async function ask(page, words) {
  await page.getByLabel('Your prompt').fill(words)
  await page.getByLabel('Your prompt').press('Enter')
}

/** Waits until an answer, the nth of those shown, has ended. */
export const answered = (page, n = 1) =>
  page.waitForFunction((n) => document.querySelectorAll('.thread .tools').length >= n && !document.querySelector('[aria-label="Stop"]') && document.querySelectorAll('.thread .assistant').length === document.querySelectorAll('.thread .tools').length, n)

export async function say(page, words) {
  const before = await page.locator('.thread .tools').count()
  await ask(page, words)
  await answered(page, before + 1)
}

export const dialog = (page) => page.locator('dialog[open]')

export async function closeSheet(page) {
  await page.keyboard.press('Escape')
  await dialog(page).waitFor({ state: 'detached' })
}

/** Fails on a page wider than its window, and on what axe finds. */
export async function clean(page, where) {
  await fits(page, where)
  // The policy keeps axe's script out of the page, so it runs as the browser's own.
  await page.evaluate(axe)
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  assert.deepEqual(found.violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.target + ' ' + n.failureSummary).join('; ')}`), [])
}

/** Fails on a page wider than its window. */
export async function fits(page, where) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
  assert.ok(wide <= 0, `${where} is ${wide} px too wide`)
}

/** The last test of a file: nothing was logged as an error on the way. */
export const quiet = () => test('the browser has nothing to complain about', () => assert.deepEqual(trouble, []))
