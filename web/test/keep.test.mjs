// What is kept in this browser, and how it goes out and comes in.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { answered, ask, clean, closeSheet, dialog, fakeOnly, open, quiet, ready, say, shot, url } from './browser.mjs'

const show = (page, title) => page.getByRole('button', { name: title, exact: true }).click()

async function menu(page, title, item) {
  await page.getByRole('button', { name: `More for ${title}` }).click()
  await page.getByRole('button', { name: item }).click()
}

async function exported(page, press) {
  const [download] = await Promise.all([page.waitForEvent('download'), press()])
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') }
}

async function files(page) {
  await page.getByRole('button', { name: 'Import and export' }).click()
  await dialog(page).waitFor()
}

const take = (page, text, name = 'chats.json') => dialog(page).locator('input[type=file]').setInputFiles({ name, mimeType: 'application/json', buffer: Buffer.from(text) })

test('remembers conversations, with their branches and reports', async () => {
  const page = await open()
  await say(page, 'Tell me a short story')
  await page.getByRole('button', { name: 'Retry' }).click()
  await page.getByRole('img', { name: 'Version 2 of 2' }).waitFor()
  await answered(page)
  await page.reload()
  await show(page, 'Tell me a short story')
  await page.getByRole('img', { name: 'Version 2 of 2' }).waitFor()
  await page.locator('button.line').waitFor()
  await page.context().close()
})

test('loses nothing when it is reloaded in the middle of an answer', fakeOnly, async () => {
  const page = await open()
  await ask(page, 'a slow story')
  await page.waitForFunction(() => document.querySelector('.answer')?.textContent.includes('small'))
  const before = await page.locator('.answer').innerText()
  await page.reload()
  await show(page, 'a slow story')
  const after = await page.locator('.answer').innerText()
  assert.ok(after.startsWith(before.trim()), `had ${JSON.stringify(before)}, has ${JSON.stringify(after)}`)
  await page.locator('.tools').getByText('stopped').waitFor()
  await page.context().close()
})

test('takes over what earlier pages kept', fakeOnly, async () => {
  const old = [{
    id: 'old1', title: 'From before', updated: 1_700_000_000_000,
    turns: [{ id: 'a', role: 'user', content: 'Hello?', state: 'done' }, { id: 'b', role: 'assistant', content: 'Hello from before.', state: 'writing', model: 'plexus-4m' }],
  }, { nonsense: true }]
  const page = await open({ prepare: (p) => p.addInitScript((old) => localStorage.getItem('seeded') || (localStorage.setItem('plexus.chats', old), localStorage.setItem('seeded', 'yes')), JSON.stringify(old)) })
  for (const _ of [1, 2]) {
    await show(page, 'From before')
    await page.getByText('Hello from before.').waitFor()
    await page.locator('.tools').getByText('stopped').waitFor()
    assert.equal(await page.evaluate(() => localStorage.getItem('plexus.chats')), null)
    assert.match(await page.evaluate(() => localStorage.getItem('plexus.chats.unread')), /nonsense/)
    await page.reload()
    await ready(page)
  }
  await page.context().close()
})

test('searches, renames, pins and deletes', fakeOnly, async () => {
  const page = await open()
  for (const words of ['code', 'a story', 'think']) {
    await say(page, words)
    await page.getByRole('button', { name: 'New chat' }).click()
  }
  const titles = () => page.locator('nav .title').evaluateAll((all) => all.map((t) => t.firstChild.textContent.trim()))
  assert.deepEqual(await titles(), ['think', 'a story', 'code'])
  await menu(page, 'code', 'Pin')
  await page.getByRole('heading', { name: 'Pinned' }).waitFor()
  assert.deepEqual(await titles(), ['code', 'think', 'a story'])
  await menu(page, 'a story', 'Rename')
  await page.getByLabel('New name').fill('The lighthouse')
  await page.keyboard.press('Enter')
  await page.reload()
  await ready(page)
  await page.waitForFunction(() => document.querySelectorAll('nav .title').length === 3)
  assert.deepEqual(await titles(), ['code', 'think', 'The lighthouse'])
  await page.getByLabel('Search conversations').fill('keeper bell')
  await page.waitForFunction(() => document.querySelectorAll('nav .title').length === 1)
  await page.locator('nav small').getByText('keeper').waitFor()
  await page.getByLabel('Search conversations').fill('')
  await page.getByRole('button', { name: 'More for think' }).click()
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  assert.equal((await titles()).length, 3)
  await page.getByRole('button', { name: 'Press again to delete' }).click()
  await page.waitForFunction(() => document.querySelectorAll('nav .title').length === 2)
  await page.reload()
  await page.waitForFunction(() => document.querySelectorAll('nav .title').length === 2)
  await page.context().close()
})

test('shows in one tab what was said in another', fakeOnly, async () => {
  const page = await open()
  const other = await page.context().newPage()
  await other.goto(url)
  await ready(other)
  await say(page, 'a story')
  await show(other, 'a story')
  await other.locator('.answer').getByText('whenever the fog comes').waitFor()
  await menu(other, 'a story', 'Pin')
  await page.getByRole('heading', { name: 'Pinned' }).waitFor()
  await page.context().close()
})

test('exports one chat and all, and imports them again whole', fakeOnly, async () => {
  const page = await open()
  await say(page, 'code')
  await page.getByRole('button', { name: 'Retry' }).click()
  await page.getByRole('img', { name: 'Version 2 of 2' }).waitFor()
  await answered(page)
  await page.getByRole('button', { name: 'New chat' }).click()
  await say(page, 'think')
  const md = await exported(page, () => menu(page, 'code', 'Export as Markdown'))
  assert.equal(md.name, 'code.md')
  assert.match(md.text, /^# code\n\n## You\n\ncode\n\n## plexus-4m\n\nHere is a loop in \*\*Go\*\*:[\s\S]*Miner 0, score 0\.97/)
  const one = await exported(page, () => menu(page, 'code', 'Export as JSON'))
  assert.equal(JSON.parse(one.text).chats.length, 1)
  await files(page)
  const all = await exported(page, () => page.getByRole('button', { name: 'All as JSON' }).click())
  const text = await exported(page, () => page.getByRole('button', { name: 'All as Markdown' }).click())
  assert.match(text.text, /# think[\s\S]*# code/)
  await take(page, all.text)
  await page.getByText('0 conversations imported, 2 were here already.').waitFor()
  await page.context().close()

  const fresh = await open()
  await files(fresh)
  await take(fresh, all.text)
  await fresh.getByText('2 conversations imported.').waitFor()
  await closeSheet(fresh)
  await fresh.reload()
  await show(fresh, 'code')
  await fresh.getByRole('img', { name: 'Version 2 of 2' }).waitFor()
  await fresh.locator('button.line').waitFor()
  // The same id with other words is another conversation.
  const changed = JSON.parse(one.text)
  changed.chats[0].turns[0].content = 'code, but other'
  await files(fresh)
  await take(fresh, JSON.stringify(changed))
  await fresh.getByText('1 conversation imported.').waitFor()
  assert.equal(await fresh.locator('nav .title').count(), 3)
  await fresh.context().close()
})

test('refuses files that are not what they should be, and says why', fakeOnly, async () => {
  const page = await open()
  await say(page, 'a story')
  await files(page)
  const file = (chats, more) => JSON.stringify({ format: 'plexus.chats', version: 1, chats, ...more })
  const turn = { id: 'a', role: 'user', content: 'x' }
  for (const [text, why] of [
    ['{"format"', 'It is not JSON'],
    ['[]', 'In the file an object is wanted, and there is a list.'],
    ['{"messages": []}', 'Its "format" is nothing; "plexus.chats" is wanted'],
    [file([], { version: 9 }), 'Its "version" is 9'],
    [file({}), 'In the file a list is wanted, and there is object.'],
    [file([{ turns: [turn] }, { turns: [turn, { ...turn, id: 'b', role: 'wizard' }] }]), 'In conversation 2, turn 2 the role is "wizard"'],
    [file([{ turns: [{ ...turn, content: 5 }] }]), 'In conversation 1, turn 1, content a text is wanted, and there is number.'],
    [file([{ turns: [turn, turn] }]), 'In conversation 1, turn 2 the id a was there before.'],
    [file([{ turns: [{ ...turn, parent: 'z' }] }]), 'In conversation 1, turn 1 the parent z is no earlier turn.'],
  ]) {
    await take(page, text)
    await dialog(page).getByRole('alert').filter({ hasText: why }).waitFor()
  }
  await shot(page, 'import-refused')
  await clean(page, 'import refused')
  assert.equal(await page.locator('nav .title').count(), 1)
  await closeSheet(page)
  await page.reload()
  await show(page, 'a story')
  await page.locator('.answer').getByText('whenever the fog comes').waitFor()
  await page.context().close()
})

test('shares a conversation inside a link, to be read and copied', fakeOnly, async () => {
  const page = await open()
  await say(page, 'code')
  await page.getByRole('button', { name: 'Share' }).click()
  const link = await page.getByRole('textbox', { name: 'the link' }).inputValue()
  assert.ok(link.length < 4000, `${link.length} characters`)
  await page.context().close()

  const reader = await open({ hash: link.slice(link.indexOf('#')) })
  await reader.getByText('That is all.').waitFor()
  await reader.getByText('A shared conversation, read only.').waitFor()
  assert.equal(await reader.getByLabel('Your prompt').count(), 0)
  await shot(reader, 'shared')
  await clean(reader, 'shared')
  await reader.getByRole('button', { name: 'Copy to my chats' }).click()
  await ready(reader)
  await reader.getByRole('button', { name: 'code', exact: true }).waitFor()
  await reader.reload()
  await show(reader, 'code')
  await reader.getByText('That is all.').waitFor()
  await reader.context().close()

  const broken = await open({ hash: '#share=bm90aGluZw' })
  await broken.getByText('The link is not whole').waitFor()
  await broken.getByRole('button', { name: 'To my chats' }).click()
  await ready(broken)
  await broken.context().close()
})

quiet()
