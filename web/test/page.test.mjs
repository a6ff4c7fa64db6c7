// How every state of the page looks, on three widths, light and dark.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answered, ask, clean, closeSheet, dialog, fakeOnly, fits, open, quiet, say, shot } from './browser.mjs'

// Colours depend on the theme and places on the width, so axe, which takes its
// time, need not see all six.
const looks = [
  { width: 360, theme: 'light', check: clean },
  { width: 360, theme: 'dark', check: fits },
  { width: 768, theme: 'light', check: fits },
  { width: 768, theme: 'dark', check: clean },
  { width: 1280, theme: 'light', check: clean },
  { width: 1280, theme: 'dark', check: fits },
]

/** Opens what a button opens, looks, checks and closes it. */
async function sheet(page, name, check, press, loaded) {
  await press()
  await dialog(page).waitFor()
  await loaded?.()
  await shot(page, name)
  await check(page, name)
  await closeSheet(page)
}

/** Brings the list of conversations into sight. */
async function list(page, width) {
  if (width < 900) await page.getByRole('button', { name: 'Conversations' }).click()
}

for (const { width, theme, check } of looks) {
  test(`is whole and accessible at ${width} px, ${theme}`, fakeOnly, async () => {
    const page = await open({ width, theme })
    const name = (what) => `${width}-${theme}-${what}`
    await shot(page, name('start'))
    await check(page, 'start')
    await page.getByLabel('Miners to ask').selectOption('4')
    await say(page, 'Tell me a short story about a lighthouse')
    await page.locator('button.line').click()
    await page.locator('.sheet').waitFor()
    await shot(page, name('race'))
    await check(page, 'race')
    await sheet(page, name('compare'), check, () => page.getByRole('button', { name: 'Compare', exact: true }).click())
    await sheet(page, name('receipt'), check, () => page.getByRole('button', { name: 'Receipt' }).click(), () => page.getByText('This receipt holds').waitFor())
    await sheet(page, name('models'), check, () => page.getByTitle('Model', { exact: true }).click())
    await sheet(page, name('settings'), check, () => page.getByRole('button', { name: 'Settings' }).click())
    await sheet(page, name('share'), check, () => page.getByRole('button', { name: 'Share' }).click(), () => page.getByRole('textbox', { name: 'the link' }).waitFor())

    await say(page, 'Show me some code, and reason about it')
    await page.locator('.hljs-keyword').first().waitFor()
    await shot(page, name('code'))
    await check(page, 'code')
    await say(page, 'And some math')
    await page.locator('math').first().waitFor()
    await page.evaluate(() => document.fonts.ready)
    await shot(page, name('math'))
    await check(page, 'math')
    await say(page, 'call a tool')
    await shot(page, name('tool'))
    await check(page, 'tool')
    await say(page, 'fail please')
    await shot(page, name('failed'))
    await check(page, 'failed')

    if (width < 1200) {
      await page.getByRole('button', { name: /Show the network/ }).click()
      await shot(page, name('network'))
      await check(page, 'network')
      await page.keyboard.press('Escape')
      await page.locator('aside#network').waitFor({ state: 'detached' })
    }
    await list(page, width)
    await page.getByRole('button', { name: /^More for/ }).click()
    await shot(page, name('list'))
    await check(page, 'list')
    await page.keyboard.press('Escape')
    await sheet(page, name('account'), check, () => page.getByRole('button', { name: 'Sign in' }).click())
    await list(page, width)
    await sheet(page, name('files'), check, () => page.getByRole('button', { name: 'Import and export' }).click())
    await list(page, width)
    await sheet(page, name('help'), check, () => page.getByRole('button', { name: 'Keyboard' }).click())
    await page.context().close()
  })
}

test('is accessible while an answer is written, and tells it to who cannot see', fakeOnly, async () => {
  const page = await open()
  await page.evaluate(() => {
    const region = document.querySelector('[data-heard]')
    window.told = []
    new MutationObserver(() => window.told.push(region.textContent)).observe(region, { characterData: true, childList: true, subtree: true })
  })
  await ask(page, 'a slow story')
  await page.locator('.answer.writing').waitFor()
  await clean(page, 'writing')
  await page.waitForFunction(() => window.told.includes('Once there was a lighthouse on a small grey island.'))
  await page.keyboard.press('Escape')
  await answered(page)
  await page.context().close()
})

test('works by the keyboard alone', fakeOnly, async () => {
  const page = await open()
  const focused = (id) => page.waitForFunction((id) => document.activeElement?.id === id, id)
  await focused('prompt')
  await page.keyboard.type('a story')
  await page.keyboard.press('Enter')
  await answered(page)
  await page.keyboard.press('ArrowUp')
  await page.getByLabel('Your words').fill('another story')
  await page.keyboard.press('Control+Enter')
  await page.getByText('2/2').first().waitFor()
  await answered(page)
  await page.keyboard.press('Control+k')
  await focused('search')
  await page.keyboard.press('Tab')
  await page.keyboard.press('/')
  await focused('prompt')
  await page.keyboard.press('Control+Shift+O')
  await page.getByRole('heading', { name: 'Ask the network' }).waitFor()
  await page.keyboard.press('Control+,')
  await page.getByRole('heading', { name: 'Settings' }).waitFor()
  await closeSheet(page)
  await page.keyboard.press('Control+/')
  await page.getByRole('heading', { name: 'Keyboard' }).waitFor()
  await page.getByLabel(/Shortcuts of a single key/).uncheck()
  await closeSheet(page)
  await page.getByRole('button', { name: 'New chat' }).focus()
  await page.keyboard.press('?')
  assert.equal(await dialog(page).count(), 0)
  await page.context().close()
})

test('keeps the chosen theme', fakeOnly, async () => {
  const page = await open()
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme)
  await page.getByRole('button', { name: /^Theme/ }).click()
  await page.getByRole('button', { name: 'Theme: light' }).click()
  assert.equal(await theme(), 'dark')
  await page.reload()
  assert.equal(await theme(), 'dark')
  await page.getByRole('button', { name: 'Theme: dark' }).click()
  assert.equal(await theme(), undefined)
  await page.context().close()
})

quiet()
