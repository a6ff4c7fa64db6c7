// Receipts and accounts: signatures made and checked for real.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { test } from 'node:test'
import { createServer } from 'vite'
import { ask, clean, closeSheet, dialog, fakeOnly, open, quiet, say, shot } from './browser.mjs'
import { addressOf, operatorKey, prove, signDoc } from './desk.mjs'

/** Puts a wallet of make-believe into the page, that knows no chain at first. */
async function wallet(page, { declines = false } = {}) {
  const secret = sha256(new TextEncoder().encode('a holder'))
  const key = secp256k1.getPublicKey(secret)
  await page.exposeFunction('walletSigns', (signer, data) => Buffer.from(secp256k1.sign(signDoc(signer, data), secret, { prehash: false, lowS: true })).toString('base64'))
  await page.addInitScript(({ address, pub, declines }) => {
    const known = new Set()
    window.keplr = {
      enable: async (chain) => {
        if (!known.has(chain)) throw new Error(`There is no chain info for ${chain}`)
      },
      experimentalSuggestChain: async (info) => known.add(info.chainId),
      getKey: async () => ({ bech32Address: address }),
      signArbitrary: async (chain, signer, data) => {
        if (declines) throw new Error('Request rejected')
        return { pub_key: { type: 'tendermint/PubKeySecp256k1', value: pub }, signature: await window.walletSigns(signer, data) }
      },
    }
  }, { address: addressOf(key), pub: Buffer.from(key).toString('base64'), declines })
  return addressOf(key)
}

const sheet = (page) => page.getByRole('button', { name: /^(Sign in|Account)$/ }).first().click()

test('signs in with a wallet, shows the account, makes and revokes keys, signs out', fakeOnly, async () => {
  let address
  const page = await open({ prepare: async (p) => { address = await wallet(p) } })
  await sheet(page)
  await page.getByRole('button', { name: 'Sign in with the wallet' }).click()
  await dialog(page).getByTitle(address).waitFor()
  for (const text of ['by stake', '818,000 of 1,000,000 tokens left', '1,250 PLX', '3.5 PLX', '0.04 PLX', '412', 'Starts anew in 4 min, at block 12,600']) await dialog(page).getByText(text, { exact: true }).waitFor()
  await dialog(page).getByText('this page').waitFor()
  await shot(page, 'account')
  await clean(page, 'account')
  await dialog(page).getByLabel('Name of a new key').fill('laptop')
  await page.getByRole('button', { name: 'Make a key' }).click()
  await page.getByText('Keep this key now').waitFor()
  const made = await dialog(page).locator('.made code').innerText()
  assert.match(made, /^plx-/)
  await clean(page, 'a new key')
  await page.getByRole('button', { name: 'Revoke laptop' }).click()
  await page.getByRole('button', { name: 'Press again to revoke laptop' }).click()
  await dialog(page).getByText('laptop').waitFor({ state: 'detached' })
  await closeSheet(page)
  const [sent] = await Promise.all([page.waitForRequest('**/v1/chat/completions'), ask(page, 'a story')])
  const kept = await page.evaluate(() => localStorage.getItem('plexus.key'))
  assert.equal(sent.headers().authorization, `Bearer ${kept}`)
  await page.reload()
  await sheet(page)
  await dialog(page).getByTitle(address).waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('With a browser wallet').waitFor()
  assert.equal(await page.evaluate(() => localStorage.getItem('plexus.key')), null)
  await page.context().close()
})

test('says when the wallet declines', fakeOnly, async () => {
  const page = await open({ prepare: (p) => wallet(p, { declines: true }) })
  await sheet(page)
  await page.getByRole('button', { name: 'Sign in with the wallet' }).click()
  await dialog(page).getByRole('alert').filter({ hasText: 'Request rejected' }).waitFor()
  await page.context().close()
})

test('signs in with a pasted key, and keeps none that is refused', fakeOnly, async () => {
  const page = await open()
  await sheet(page)
  await page.getByText('No wallet that speaks as Keplr does').waitFor()
  await dialog(page).getByLabel('API key').fill('plx-wrong')
  await page.getByRole('button', { name: 'Use this key' }).click()
  await dialog(page).getByRole('alert').filter({ hasText: 'the API key is not valid here' }).waitFor()
  assert.equal(await page.evaluate(() => localStorage.getItem('plexus.key')), null)
  await dialog(page).getByLabel('API key').fill(operatorKey)
  await page.getByRole('button', { name: 'Use this key' }).click()
  await page.getByRole('button', { name: 'Sign out' }).waitFor()
  assert.equal(await page.evaluate(() => localStorage.getItem('plexus.key')), operatorKey)
  await page.context().close()
})

async function receipt(words) {
  const page = await open()
  await say(page, words)
  await page.getByRole('button', { name: 'Receipt' }).click()
  return page
}

/** What a finding of an open receipt says. */
const finding = (page, name) => dialog(page).locator('li', { has: page.getByText(name, { exact: true }) })

test('verifies a receipt and hands it out', fakeOnly, async () => {
  const page = await receipt('a patient story')
  await page.getByText('7 of 7 checks done here in your browser hold.').waitFor()
  await finding(page, 'Batch of its epoch').getByText('It is number 2 of the batch of epoch 34').waitFor()
  await dialog(page).getByText('plexus-4m', { exact: true }).waitFor()
  await finding(page, 'Prompt').getByText('word for word').waitFor()
  await finding(page, 'Miners’ own signatures').getByText('One miner signed what was said, all of it').waitFor()
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
  const file = JSON.parse(await readFile(await download.path(), 'utf8'))
  assert.ok(file.envelope.signature && file.proof.path.length === 3)
  await page.context().close()
})

test('tells what a receipt cannot show yet', fakeOnly, async () => {
  const page = await receipt('an unproven story')
  await page.getByText('6 of 7 checks').waitFor()
  await finding(page, 'Batch of its epoch').getByText('not sealed yet').waitFor()
  await page.context().close()
})

test('catches a receipt that shows other than was signed', fakeOnly, async () => {
  const page = await receipt('a forged story')
  await page.getByText('Do not rely on this receipt.').waitFor()
  await finding(page, 'Content').getByText('is not what was signed').waitFor()
  await shot(page, 'receipt-forged')
  await clean(page, 'receipt forged')
  await page.context().close()
})

/** A module of the page, to be called without a browser. */
async function inside(path, act) {
  const vite = await createServer({ server: { middlewareMode: true, ws: false, hmr: false }, appType: 'custom', optimizeDeps: { noDiscovery: true }, logLevel: 'error' })
  try {
    await act(await vite.ssrLoadModule(path))
  } finally {
    await vite.close()
  }
}

test('checks what miners signed and how votes were counted', () => inside('/src/receipt.ts', async ({ readReceipt, verify }) => {
  const kept = async (name) => JSON.parse(await readFile(new URL(`../../gateway/receipt/testdata/${name}.json`, import.meta.url), 'utf8'))
  const judge = (record, change) => {
    const copy = structuredClone(record)
    change?.(copy.receipt)
    return Object.fromEntries(verify(readReceipt(copy), { text: 'Paris' }).map((f) => [f.name, f]))
  }
  const [one, votes] = [await kept('v1'), await kept('votes')]
  for (const record of [one, votes]) {
    const found = judge(record)
    assert.equal(found.Signature.ok, true)
    assert.equal(found['Miners’ own signatures'].ok, true, found['Miners’ own signatures'].why)
    assert.match(found['Miners’ own signatures'].why, /One miner signed what was said, all of it/)
  }
  assert.equal(judge(one)['Why this answer'], undefined)
  assert.match(judge(votes)['Why this answer'].why, /greatest weight, 1.05, of 2 answers that 3 miners/)
  const exchange = (r) => r.miners[0].exchange
  for (const [change, why] of [
    [(r) => (exchange(r).response.sequence = 1), /not signed by the miner/],
    [(r) => (exchange(r).request.nonce = 'AAAA'), /not signed by who/],
    [(r) => (exchange(r).response.request_hash = 'AAAA'), /another request/],
    [(r) => (exchange(r).response = null), /no answer/],
    [(r) => (exchange(r).request.caller = 'AAAA'), /no Ed25519 key/],
    [(r) => (exchange(r).request = 7), /no Ed25519 key/],
    [(r) => (r.miners[0].peer_id = '12D3other'), /not by the one/],
    [(r) => (r.validator.peer_id = '12D3other'), /not by this validator/],
    [(r) => (r.netuid = 2), /not for this subnet/],
  ]) {
    const found = judge(votes, change)['Miners’ own signatures']
    assert.equal(found.ok, false)
    assert.match(found.why, why)
  }
  for (const [change, ok, why] of [
    [(r) => r.votes.reverse(), false, /Another answer/],
    [(r) => (r.votes[0].weight = 2), false, /said to weigh 2/],
    [(r) => (r.miners[2].vote_weight = 0.5), false, /does not weigh/],
    [(r) => (r.votes[1].miners = [0]), false, /counted twice/],
    [(r) => (r.votes[1].miners = [9]), false, /nobody/],
    [(r) => ([r.miners[0].chosen, r.miners[1].chosen] = [false, true]), false, /did not win/],
    [(r) => (r.miners[4].vote_weight = 0.9), false, /not counted/],
    [(r) => (r.votes = null), false, /there are none/],
    [(r) => (r.verified_only = true), false, /does not weigh/],
    [(r) => (r.ranked_by = 'score'), false, /score of 0.6, and another answer has 0.95/],
    [(r) => (r.ranked_by = 'judge'), false, /none was asked/],
    [(r) => (r.ranked_by = 'luck'), null, /does not know/],
    [(r) => (r.miners = null), false, /./],
  ]) {
    const found = judge(votes, change)['Why this answer']
    assert.equal(found.ok, ok, found.why)
    assert.match(found.why, why)
  }
  assert.match(judge(votes, (r) => (r.kind = 'open')).Model.why, /declares none/)
}))

test('climbs the path of every leaf of trees of every shape', () => inside('/src/receipt.ts', async ({ climb }) => {
  const leaf = (b) => sha256(Uint8Array.from([0, ...b]))
  for (let size = 1; size <= 20; size++) {
    const data = Array.from({ length: size }, (_, i) => Uint8Array.of(i))
    for (let i = 0; i < size; i++) {
      const { root, path } = prove(data.map(leaf), i)
      assert.deepEqual(climb(data[i], i, path, size), root, `leaf ${i} of ${size}`)
      assert.notDeepEqual(climb(Uint8Array.of(99), i, path, size), root, `a stranger as leaf ${i} of ${size}`)
      if (size > 1) assert.notDeepEqual(climb(data[i], (i + 1) % size, path, size), root, `leaf ${i} of ${size} in another place`)
    }
  }
}))

quiet()
