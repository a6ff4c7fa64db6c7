// The tenant's console: from an SDL to a shell and to the end, on three widths.
// With PLEXUS_CONSOLE, the link that a real console printed, it goes the way on
// that one, and spends.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clean, fits, open, quiet, shot } from './browser.mjs'
import { reset, token } from './market.mjs'

const real = process.env.PLEXUS_CONSOLE
const fake = { skip: !!real }

/** Opens the console with its link, at a page. */
async function desk(at, o = {}) {
  const page = await open({ ...o, hash: `#/console/${at}?token=${token}` })
  await page.locator('main h1').waitFor()
  return page
}

const looks = [
  { width: 360, theme: 'light', check: clean },
  { width: 360, theme: 'dark', check: fits },
  { width: 768, theme: 'light', check: fits },
  { width: 768, theme: 'dark', check: clean },
  { width: 1280, theme: 'light', check: clean },
  { width: 1280, theme: 'dark', check: fits },
]

/** Goes from the editor to a deployment that runs; look sees every state. */
async function rent(page, look) {
  await page.getByText('The file is good.').waitFor()
  await page.getByRole('button', { name: 'Ask the providers' }).click()
  await page.getByText(/\d of \d providers? would bid/).waitFor()
  await look('price')
  await page.getByLabel('Deposit').fill('2plx')
  await page.getByRole('button', { name: 'Put it up for bids' }).click()
  await page.locator('fieldset label').nth(1).waitFor()
  await look('bids')
  await page.getByRole('button', { name: 'Take and start' }).click()
  await page.getByText('All of it runs.').waitFor()
  await page.locator('[role=log] li').nth(2).waitFor()
  await look('running')
}

/** Ends the deployment that is shown. */
async function end(page) {
  await page.getByRole('button', { name: 'Close deployment' }).click()
  await page.getByRole('button', { name: 'Close it for good' }).click()
  await page.getByText(/This deployment is closed/).waitFor()
}

for (const { width, theme, check } of looks) {
  test(`is whole and accessible at ${width} px, ${theme}`, fake, async () => {
    reset()
    const look = async (page, name) => {
      await shot(page, `${width}-${theme}-console-${name}`)
      await check(page, name)
    }
    const page = await desk('', { width, theme })
    await page.getByText('You rent nothing yet.').waitFor()
    await look(page, 'empty')
    await page.getByRole('link', { name: 'Providers' }).click()
    await page.locator('.meters').nth(2).waitFor()
    await look(page, 'providers')
    await page.getByRole('link', { name: 'Deploy', exact: true }).click()
    await page.getByText('The file is good.').waitFor()
    const sdl = await page.getByLabel('SDL').inputValue()
    await page.getByLabel('SDL').fill(sdl.replace('256Mi', '256Mb'))
    await page.getByText('1 fault').waitFor()
    await look(page, 'fault')
    await page.getByLabel('SDL').fill(sdl)
    await rent(page, (name) => look(page, name))
    await page.getByRole('button', { name: 'Logs', exact: true }).click()
    await page.getByText('GET /about').first().waitFor()
    await look(page, 'logs')
    await page.getByRole('button', { name: 'Shell', exact: true }).click()
    await page.getByRole('button', { name: 'Open a shell' }).click()
    await page.locator('.xterm-rows', { hasText: '/ #' }).waitFor()
    await page.keyboard.type('uname -a\rls\r')
    await page.locator('.xterm-rows', { hasText: 'usr' }).waitFor()
    await look(page, 'shell')
    await page.getByRole('button', { name: 'Update', exact: true }).click()
    await page.getByText('The file is good.').waitFor()
    await look(page, 'update')
    await page.getByRole('button', { name: 'Close deployment' }).click()
    await look(page, 'sure')
    await page.getByRole('button', { name: 'Close it for good' }).click()
    await page.getByText(/This deployment is closed/).waitFor()
    await look(page, 'closed')
    await page.getByRole('link', { name: 'Deployments', exact: true }).click()
    await page.getByLabel('Closed ones too').check()
    await page.locator('main li').nth(2).waitFor()
    await look(page, 'list')
    await page.locator('main li a').nth(2).click()
    await page.getByText('This deployment is closed since 23 Nov 2026').waitFor()
    await page.getByRole('button', { name: 'Logs' }).first().click()
    await page.getByText('SIGTERM: bye').waitFor()
    await look(page, 'past')
  })
}

test('tells why a lease ended, what it cost and what its provider kept', fake, async () => {
  reset()
  const page = await desk('deployments/1')
  const leases = page.getByRole('region', { name: 'Leases that have ended' }).locator('> ul > li')
  await leases.nth(1).waitFor()
  assert.match(await leases.nth(0).innerText(), /you closed it[^]*21 Nov 2026[^]*23 Nov 2026[^]*1.284 PLX/)
  assert.match(await leases.nth(1).innerText(), /the provider could not run it[^]*blocks 100 to 267,000/)
  await leases.nth(0).getByRole('button', { name: 'Events' }).click()
  await leases.nth(0).getByText('the lease has ended').waitFor()
  await leases.nth(0).getByRole('button', { name: 'Logs' }).click()
  await leases.nth(0).getByText('SIGTERM: bye').waitFor()
  assert.equal(await leases.nth(0).getByText('the lease has ended').count(), 0)
  await leases.nth(1).getByRole('button', { name: 'Logs' }).click()
  await leases.nth(1).getByText('it ended more than 7 days ago').waitFor()
})

test('says of each provider what the network measured', fake, async () => {
  const page = await desk('providers')
  await page.locator('.measured').nth(3).waitFor()
  assert.deepEqual(await page.locator('.measured').allInnerTexts(), [
    'Measured: 97.3 % of the best, place 2 of 9 · subnet 5, machines', 'Not measured by the network',
    'Measured: nothing has come of it yet · subnet 5, machines', 'Not measured by the network',
  ])
})

/** Rents what answers to shop.example and leases an address; at its page. */
async function shop() {
  const page = await desk('deploy')
  await page.getByText('The file is good.').waitFor()
  await page.getByLabel('SDL').fill(`${await page.getByLabel('SDL').inputValue()}\n# shop.example`)
  await rent(page, async () => {})
  return page
}

test('moves names and addresses between deployments', fake, async () => {
  reset()
  const first = await shop()
  await first.getByText('shop.example leads here.').waitFor()
  const page = await shop()
  await page.getByText('shop.example leads to another deployment of yours.').waitFor()
  await page.getByRole('button', { name: 'Have it lead here' }).click()
  await page.getByText('shop.example leads here.').waitFor()
  await first.getByText('shop.example leads to another deployment of yours.').waitFor()
  await page.getByText('Deployment 3 has 203.0.113.19.').waitFor()
  await page.getByRole('button', { name: 'Exchange the two' }).click()
  await page.getByText('The replicas of both start again.').waitFor()
  await clean(page, 'exchange')
  await page.getByRole('button', { name: 'Exchange them now' }).click()
  await page.getByText('203.0.113.19 is the address of front here.').waitFor()
  await page.getByText('Deployment 3 has 203.0.113.20.').waitFor()
  for (const one of [first, page]) await one.close() // or they look at the deployments of the next test
})

test('says what to do without the link', fake, async () => {
  const page = await open({ hash: '#/console' })
  await page.getByText('plexus console --from KEY').waitFor()
  await clean(page, 'locked')
})

test('takes the token out of the address', fake, async () => {
  const page = await desk('providers')
  assert.equal(new URL(page.url()).hash, '#/console/providers')
  await page.reload()
  await page.locator('.meters').first().waitFor()
})

test('mends what the checker knows better', fake, async () => {
  const page = await desk('deploy')
  await page.getByText('The file is good.').waitFor()
  const sdl = await page.getByLabel('SDL').inputValue()
  await page.getByLabel('SDL').fill(sdl.replace('256Mi', '256Mb'))
  await page.getByRole('button', { name: /^line \d+, column \d+/ }).click()
  assert.equal(await page.getByLabel('SDL').evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd)), '256Mb')
  await page.getByRole('button', { name: 'Write 256Mi' }).click()
  await page.getByText('The file is good.').waitFor()
  assert.equal(await page.getByLabel('SDL').inputValue(), sdl)
})

test('says what the chain refuses', fake, async () => {
  reset()
  const page = await desk('deploy')
  await page.getByLabel('Deposit').fill('much')
  await page.getByText('Write an amount such as 2plx.').waitFor()
  await page.getByLabel('Deposit').fill('5000plx')
  await page.getByRole('button', { name: 'Put it up for bids' }).click()
  await page.getByRole('alert').filter({ hasText: 'insufficient funds' }).waitFor()
})

test('sends the manifest from a browser that has no SDL', fake, async () => {
  reset()
  const page = await desk('deploy')
  await page.getByText('The file is good.').waitFor()
  const sdl = await page.getByLabel('SDL').inputValue()
  await page.getByRole('button', { name: 'Put it up for bids' }).click()
  await page.locator('fieldset label').nth(1).waitFor()
  await page.evaluate(() => localStorage.clear())
  await page.reload()
  await page.locator('fieldset label').nth(1).click()
  await page.getByRole('button', { name: 'Take and start' }).click()
  await page.getByText('The manifest has not come to the provider').waitFor()
  await page.getByLabel('SDL').fill(sdl)
  await page.getByRole('button', { name: 'Send the manifest' }).click()
  await page.getByText('All of it runs.').waitFor()
})

test('a shell is sized, and says how it ended', fake, async () => {
  reset()
  const page = await desk('deploy')
  await rent(page, async () => {})
  await page.getByRole('button', { name: 'Shell', exact: true }).click()
  await page.getByRole('button', { name: 'Open a shell' }).click()
  await page.locator('.xterm-rows', { hasText: '/ #' }).waitFor()
  await page.setViewportSize({ width: 700, height: 800 })
  await page.waitForFunction(() => document.querySelector('.xterm-screen').clientWidth < 680)
  await page.keyboard.type('stty size\r')
  await page.locator('.xterm-rows', { hasText: /\d+ \d+/ }).waitFor()
  await page.keyboard.type('exit\r')
  await page.getByText('The shell ended with code 7.').waitFor()
  await page.keyboard.press('Control+Shift+E')
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Shell')
})

test('comes of itself where there is no gateway', fake, async () => {
  const page = await open({
    hash: '',
    prepare: (page) => page.route(/\/(api|v1)\//, (route) => (route.request().url().includes('/console/') ? route.continue() : route.fulfill({ status: 404, body: '' }))),
    wait: false,
  })
  await page.getByText('plexus console --from KEY').waitFor()
})

test('rents on a real console', { skip: !real }, async () => {
  const link = new URL(real)
  const page = await open({ hash: link.hash, at: link.origin })
  await page.getByRole('link', { name: 'Deploy', exact: true }).click()
  await rent(page, async () => {})
  await page.getByRole('button', { name: 'Shell', exact: true }).click()
  await page.getByRole('button', { name: 'Open a shell' }).click()
  await page.locator('.xterm-rows', { hasText: /\S/ }).waitFor()
  await page.getByRole('button', { name: 'Top up' }).click()
  await end(page)
})

quiet()
