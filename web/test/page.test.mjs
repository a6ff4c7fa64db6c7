// The page in a real browser. It runs against the fake gateway, or against a
// running one: PLEXUS_URL=http://127.0.0.1:8080 npm test. Chromium is looked for
// at CHROMIUM or /usr/bin/chromium. Pictures go to shots/ when SHOTS is set.

import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { start } from './fake.mjs'

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const real = process.env.PLEXUS_URL
let url, server, browser
const trouble = []

before(async () => {
  server = real ? undefined : await start()
  url = real ?? `http://127.0.0.1:${server.address().port}`
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  if (process.env.SHOTS) await mkdir('shots', { recursive: true })
})

after(async () => {
  await browser?.close()
  server?.closeAllConnections()
  server?.close()
})

async function open(width = 1280, theme = 'light') {
  const page = await browser.newPage() // of a fresh profile
  page.on('pageerror', (e) => trouble.push(String(e)))
  page.on('console', (m) => m.type() === 'error' && !/50[0-9]|status of 4/.test(m.text()) && trouble.push(m.text()))
  await page.setViewportSize({ width, height: width < 500 ? 740 : 820 })
  await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
  await page.goto(url)
  await page.waitForFunction(() => document.querySelector('select option')?.value)
  return page
}

async function shot(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: `shots/${name}.png` })
}

async function ask(page, words) {
  await page.getByLabel('Your prompt').fill(words)
  await page.keyboard.press('Enter')
}

const answered = (page) => page.getByRole('button', { name: 'Retry' }).waitFor({ timeout: 60_000 })

/** Fails on what axe finds, and on a page wider than its window. */
async function clean(page, where) {
  // The policy keeps axe's script out of the page, so it runs as the browser's own.
  await page.evaluate(await readFile(axe, 'utf8'))
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  assert.deepEqual(found.violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.target + ' ' + n.failureSummary).join('; ')}`), [])
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
  assert.ok(wide <= 0, `${where} is ${wide} px too wide`)
}

for (const width of [360, 768, 1280]) {
  for (const theme of ['light', 'dark']) {
    test(`is whole and accessible at ${width} px, ${theme}`, { skip: !!real }, async () => {
      const page = await open(width, theme)
      await shot(page, `${width}-${theme}-1-start`)
      await clean(page, 'start')
      await page.getByLabel('Miners to ask').selectOption('5')
      await ask(page, 'Tell me a short story about a lighthouse')
      await answered(page)
      await page.locator('button.line').click()
      await shot(page, `${width}-${theme}-2-race`)
      await page.getByRole('button', { name: 'Compare the answers' }).click()
      await page.locator('.scroll').evaluate((b) => b.scrollTo(0, 1e6))
      await shot(page, `${width}-${theme}-2-answer`)
      await clean(page, 'answer')
      await ask(page, 'Show me some code')
      await page.waitForFunction(() => document.querySelectorAll('button.line').length === 2)
      await answered(page)
      await page.locator('.scroll').evaluate((b) => b.scrollTo(0, 1e6))
      await shot(page, `${width}-${theme}-3-code`)
      await clean(page, 'code')
      if (width < 1200) {
        await page.getByRole('button', { name: /Show the network/ }).click()
        await shot(page, `${width}-${theme}-4-network`)
        await clean(page, 'network')
        await page.keyboard.press('Escape')
        assert.equal(await page.locator('aside#network').count(), 0)
      }
      if (width < 900) {
        await page.getByRole('button', { name: 'Conversations' }).click()
        await shot(page, `${width}-${theme}-5-list`)
        await clean(page, 'list')
      }
      await page.close()
    })
  }
}

test('answers, says who did, and remembers', async () => {
  const page = await open()
  await ask(page, 'Tell me a short story')
  await answered(page)
  assert.notEqual((await page.locator('.answer').innerText()).trim(), '')
  await page.locator('button.line').click()
  assert.ok((await page.locator('.sheet tbody tr').count()) >= 1)
  await page.reload()
  await page.getByRole('button', { name: 'Tell me a short story', exact: true }).click()
  await page.locator('.answer').waitFor()
  await page.close()
})

test('stops, retries and edits', { skip: !!real }, async () => {
  const page = await open()
  await ask(page, 'a slow story')
  await page.locator('.answer').waitFor()
  await page.keyboard.press('Escape')
  await page.getByText('stopped').waitFor()
  const first = await page.locator('.answer').innerText()
  assert.ok(first.length < 200, 'it went on')
  await page.getByRole('button', { name: 'Edit and send again' }).click()
  await page.getByLabel('Your words').fill('a story')
  await page.getByRole('button', { name: 'Send again' }).click()
  await answered(page)
  assert.match(await page.locator('.answer').innerText(), /whenever the fog comes/)
  await page.getByRole('button', { name: 'Retry' }).click()
  await answered(page)
  assert.equal(await page.locator('.answer').count(), 1)
  await page.keyboard.press('Control+Shift+O')
  await page.getByText('Ask the network').first().waitFor()
  await page.close()
})

test('shows what went wrong', { skip: !!real }, async () => {
  const page = await open()
  await ask(page, 'fail please')
  await page.getByText('no miner of plexus-4m can be reached now').waitFor()
  await ask(page, 'break please')
  await page.getByText('it stopped in the middle').waitFor()
  await shot(page, 'failed')
  await clean(page, 'failed')
  await page.close()
})

test('lets no model run code or call home', { skip: !!real }, async () => {
  const page = await open()
  const asked = []
  page.on('request', (r) => asked.push(r.url()))
  await ask(page, 'evil')
  await answered(page)
  assert.equal(await page.evaluate(() => window.hacked), undefined)
  assert.equal(await page.locator('.answer img').count(), 0)
  assert.deepEqual(await page.locator('.answer a').evaluateAll((all) => all.map((a) => a.getAttribute('href'))), [null, 'https://example.com'])
  assert.deepEqual(asked.filter((u) => !u.startsWith(url)), [])
  await page.close()
})

test('the browser has nothing to complain about', () => assert.deepEqual(trouble, []))
