// Takes the pictures of docs/chat.md and docs/console.md: `node test/pictures.mjs`, or with
// PLEXUS_URL those of a running gateway.

import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { start } from './fake.mjs'
import { token } from './market.mjs'

const server = process.env.PLEXUS_URL ? undefined : await start()
const url = process.env.PLEXUS_URL ?? `http://127.0.0.1:${server.address().port}`
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
const page = await browser.newPage({ viewport: { width: 1280, height: 820 }, colorScheme: 'light', reducedMotion: 'reduce' })
page.setDefaultTimeout(120_000)
const picture = (name) => page.screenshot({ path: fileURLToPath(new URL(`../../docs/${name}.png`, import.meta.url)) })

async function say(words) {
  await page.getByLabel('Your prompt').fill(words)
  await page.getByLabel('Your prompt').press('Enter')
  await page.locator('.thread .assistant:last-child .tools').waitFor()
  await page.locator('.thread .assistant:last-child button.line').waitFor()
}

await page.goto(url)
await page.locator('.model .name').filter({ hasNotText: 'no model' }).waitFor()
await page.getByLabel('Miners to ask').selectOption('4')
await say('Tell me a short story about a lighthouse')
await page.locator('button.line').click()
await page.locator('.sheet').waitFor()
await picture('chat')
await page.getByRole('button', { name: 'Receipt' }).click()
await page.getByText('This receipt holds.').waitFor()
await picture('receipt')
await page.keyboard.press('Escape')
await page.getByRole('button', { name: 'New chat' }).click()
await page.emulateMedia({ colorScheme: 'dark' })
await page.getByLabel('Miners to ask').selectOption('4')
await page.getByLabel('Which answer').selectOption('vote')
await say('What is 7 + 5? Show how you think')
await page.getByRole('button', { name: 'Compare', exact: true }).click()
await page.locator('dialog[open]').waitFor()
await picture('compare')

if (server) {
  await page.keyboard.press('Escape')
  await page.emulateMedia({ colorScheme: 'light' })
  await page.goto(`${url}/#/console/providers?token=${token}`)
  await page.locator('.meters').nth(2).waitFor()
  await picture('console-providers')
  await page.getByRole('link', { name: 'Deploy', exact: true }).click()
  await page.getByText('The file is good.').waitFor()
  await page.getByRole('button', { name: 'Ask the providers' }).click()
  await page.getByText('2 of 4 providers would bid').waitFor()
  await picture('console-deploy')
  await page.getByLabel('Deposit').fill('2plx')
  await page.getByRole('button', { name: 'Put it up for bids' }).click()
  await page.locator('fieldset label').nth(1).waitFor()
  await page.getByRole('button', { name: 'Take and start' }).click()
  await page.getByText('All of it runs.').waitFor()
  await page.setViewportSize({ width: 1280, height: 1040 })
  await page.getByRole('button', { name: 'Shell', exact: true }).click()
  await page.getByRole('button', { name: 'Open a shell' }).click()
  await page.locator('.xterm-rows', { hasText: '/ #' }).waitFor()
  await page.keyboard.type('uname -a\rls\r')
  await page.locator('.xterm-rows', { hasText: 'usr' }).waitFor()
  await page.evaluate(() => document.querySelector('main').scrollTo(0, 0))
  await picture('console-lease')
  await page.setViewportSize({ width: 1280, height: 820 })
  await page.goto(`${url}/#/console/deployments/1`)
  await page.getByRole('button', { name: 'Logs' }).first().click()
  await page.getByText('SIGTERM: bye').waitFor()
  await picture('console-past')
}
await browser.close()
server?.closeAllConnections()
server?.close()
