// CosmJS as it is on npm drives a chain of the real binary.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { Secp256k1HdWallet } from "@cosmjs/amino";
import { DirectSecp256k1HdWallet } from "@cosmjs/proto-signing";
import {
  assertIsDeliverTxSuccess, GasPrice, QueryClient, setupDistributionExtension, setupStakingExtension,
  SigningStargateClient, StargateClient,
} from "@cosmjs/stargate";
import { connectComet } from "@cosmjs/tendermint-rpc";
import { decode, denom, market, message, plexusAminoTypes, plexusRegistry, prefix, registry, setupPlexusExtension, subnet, toBase } from "../dist/index.js";
import { startChain } from "./chain.mjs";

const plx = (amount) => ({ denom, amount: toBase(amount) });
const nplx = async (client, address) => BigInt((await client.getBalance(address, denom)).amount);

let chain, alice, bob, stranger, client, query;

before(async () => {
  const wallet = await DirectSecp256k1HdWallet.generate(24, { prefix });
  const ledger = await Secp256k1HdWallet.generate(24, { prefix });
  [alice] = await wallet.getAccounts();
  [bob] = await ledger.getAccounts();
  [stranger] = await (await DirectSecp256k1HdWallet.generate(12, { prefix })).getAccounts();
  chain = await startChain([alice.address, bob.address]);
  const options = { registry: plexusRegistry(), aminoTypes: plexusAminoTypes(), gasPrice: GasPrice.fromString(`1${denom}`), broadcastPollIntervalMs: 100 };
  alice.client = await SigningStargateClient.connectWithSigner(chain.rpc, wallet, options);
  bob.client = await SigningStargateClient.connectWithSigner(chain.rpc, ledger, options); // signs amino JSON, as Ledger does
  client = await StargateClient.connect(chain.rpc);
  query = QueryClient.withExtensions(await connectComet(chain.rpc), setupStakingExtension, setupDistributionExtension, setupPlexusExtension);
});

after(async () => {
  for (const c of [alice?.client, bob?.client, client]) c?.disconnect();
  query?.disconnect?.();
  await chain?.stop();
});

// act signs messages, pays what their simulation says, and waits for the block.
async function act(who, ...messages) {
  const result = await who.client.signAndBroadcast(who.address, messages, "auto");
  assertIsDeliverTxSuccess(result);
  return result;
}

test("an address has its balance, and the chain its name and height", async () => {
  assert.equal(await client.getChainId(), "plexus-local");
  assert.ok((await client.getHeight()) >= 2);
  assert.match(alice.address, /^plx1/);
  assert.deepEqual(await client.getBalance(alice.address, denom), plx("10000"));
  assert.deepEqual(await client.getAllBalances(stranger.address), []);
});

for (const name of ["alice", "bob"]) {
  test(`${name} sends, with gas as simulated`, async () => {
    const who = { alice, bob }[name];
    const [had, has] = [await nplx(client, who.address), await nplx(client, stranger.address)];
    const sent = await who.client.sendTokens(who.address, stranger.address, [plx("1.5")], "auto", "thanks");
    assertIsDeliverTxSuccess(sent);
    assert.equal((await nplx(client, stranger.address)) - has, 1_500_000_000n);
    const fee = had - (await nplx(client, who.address)) - 1_500_000_000n;
    assert.ok(fee >= sent.gasUsed && fee < 3n * sent.gasUsed, `fee ${fee} for ${sent.gasUsed} gas at 1 nplx`);
    const found = await client.getTx(sent.transactionHash);
    assert.equal(found.height, sent.height);
    assert.equal(found.code, 0);
  });
}

test("a refusal says what was wrong", async () => {
  await assert.rejects(alice.client.sendTokens(alice.address, stranger.address, [plx("20000")], "auto"), /insufficient funds|smaller than/);
  const poor = { amount: [{ denom, amount: "1" }], gas: "200000" };
  await assert.rejects(alice.client.signAndBroadcastSync(alice.address, [send(alice, stranger, "1")], poor), /insufficient fee/);
});

test("stake is delegated, earns, is withdrawn and undelegated", async () => {
  const { validators } = await query.staking.validators("BOND_STATUS_BONDED");
  const validator = validators[0].operatorAddress;
  assert.match(validator, /^plxvaloper1/);
  assertIsDeliverTxSuccess(await alice.client.delegateTokens(alice.address, validator, plx("1000"), "auto"));
  assert.deepEqual(await client.getDelegation(alice.address, validator), plx("1000"));

  await act(bob, send(bob, alice, "1")); // fees of others are what validators share
  await act(bob, send(bob, alice, "1"));
  const { rewards } = await query.distribution.delegationRewards(alice.address, validator);
  assert.equal(rewards[0]?.denom, denom);
  const withdrawn = await alice.client.withdrawRewards(alice.address, validator, "auto");
  assertIsDeliverTxSuccess(withdrawn);
  const paid = withdrawn.events.find((e) => e.type === "withdraw_rewards").attributes.find((a) => a.key === "amount").value;
  assert.match(paid, /^[1-9]\d*nplx$/);

  assertIsDeliverTxSuccess(await alice.client.undelegateTokens(alice.address, validator, plx("400"), "auto"));
  assert.deepEqual(await client.getDelegation(alice.address, validator), plx("600"));
  const { unbond } = await query.staking.unbondingDelegation(alice.address, validator);
  assert.equal(unbond.entries[0].balance, toBase("400"));
});

function send(from, to, amount) {
  return { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { fromAddress: from.address, toAddress: to.address, amount: [plx(amount)] } };
}

test("a subnet and its neurons are made of our own messages", async () => {
  const kindParams = new Uint8Array([123, 125]); // {}
  const made = await act(alice, message(subnet.MsgRegisterSubnetSchema, { owner: alice.address, kind: "text", name: "demo", kindParams, maxPrice: plx("1000") }));
  const { netuid, burned } = decode(subnet.MsgRegisterSubnetResponseSchema, made.msgResponses[0].value);
  assert.ok(netuid > 0 && BigInt(burned.amount) > 0n);

  const register = (who) => message(subnet.MsgRegisterNeuronSchema, { account: who.address, netuid, maxPrice: plx("1") });
  await act(alice, register(alice));
  const seat = await act(bob, register(bob)); // by amino JSON
  assert.equal(decode(subnet.MsgRegisterNeuronResponseSchema, seat.msgResponses[0].value).uid, 1);
  await act(alice, message(subnet.MsgUpdateSubnetSchema, { authority: alice.address, netuid, name: "renamed" }));

  const graph = await query.plexus.subnet.metagraph({ netuid });
  assert.equal(graph.subnet.name, "renamed");
  assert.deepEqual(graph.neurons.map((n) => n.neuron.account), [alice.address, bob.address]);
  const listed = await query.plexus.subnet.subnets();
  assert.equal(listed.subnets.length, netuid + 1);
});

test("all kinds of fields sign as amino JSON", async () => {
  const kindParams = new Uint8Array([0, 250, 251, 252]);
  const made = await act(bob, message(subnet.MsgRegisterSubnetSchema, { owner: bob.address, kind: "text", name: "bytes", kindParams, maxPrice: plx("1000") }));
  const { netuid } = decode(subnet.MsgRegisterSubnetResponseSchema, made.msgResponses[0].value);
  const { subnet: record } = await query.plexus.subnet.subnet({ netuid });
  assert.deepEqual(record.kindParams, kindParams);
});

test("a model is declared in the registry", async () => {
  const body = new TextEncoder().encode('{"name":"demo"}');
  const done = await act(bob, message(registry.MsgRegisterManifestSchema, { account: bob.address, body })); // by amino JSON
  const { hash } = decode(registry.MsgRegisterManifestResponseSchema, done.msgResponses[0].value);
  assert.equal(hash.length, 32);
  const { manifest } = await query.plexus.registry.manifest({ hash: Buffer.from(hash).toString("hex") });
  assert.deepEqual([manifest.account, manifest.body], [bob.address, body]);
});

test("a rental goes from deployment to lease and back", async () => {
  const resources = { id: 1, cpu: 100n, memory: 1n << 27n, storage: [{ name: "default", size: 1n << 28n }] };
  const price = { denom, amount: "10" };
  const groups = [{ name: "web", units: [{ resources, count: 1, price }] }];
  await act(alice, message(market.MsgCreateProviderSchema, {
    account: alice.address, hostUri: "https://a.example", deposit: plx("100"), attributes: [{ key: "region", value: "us-west" }],
  }));
  const made = await act(bob, message(market.MsgCreateDeploymentSchema, { owner: bob.address, hash: new Uint8Array(32).fill(7), groups, deposit: plx("5") })); // by amino JSON
  const { dseq } = decode(market.MsgCreateDeploymentResponseSchema, made.msgResponses[0].value);
  const order = { owner: bob.address, dseq, gseq: 1, oseq: 1 };
  await act(alice, message(market.MsgCreateBidSchema, {
    ...order, provider: alice.address, price: { denom, amount: "9.5" }, deposit: plx("1"), offers: [{ resources, count: 1 }],
  }));
  await act(bob, message(market.MsgCreateLeaseSchema, { ...order, provider: alice.address }));
  const { lease } = await query.plexus.market.lease({ ...order, provider: alice.address });
  assert.equal(lease.price.amount, "9.500000000000000000");
  await act(bob, message(market.MsgCloseDeploymentSchema, { owner: bob.address, dseq }));
  const { deployment } = await query.plexus.market.deployment({ owner: bob.address, dseq });
  assert.equal(deployment.state, market.DeploymentState.CLOSED);
});

test("errors of our own messages reach their sender", async () => {
  const cheap = message(subnet.MsgRegisterNeuronSchema, { account: alice.address, netuid: 1, maxPrice: { denom, amount: "1" } });
  await assert.rejects(act(alice, cheap), /max|already/);
  await assert.rejects(query.plexus.subnet.metagraph({ netuid: 999 }), /there is no subnet 999/);
});

test("the schedule is followed", async () => {
  const now = await query.plexus.emission.schedule();
  assert.equal(now.cap, 21_000_000n * 1_000_000_000n);
  assert.equal(now.state.minted, now.scheduled);
  assert.ok(now.scheduled > 0n);
});
