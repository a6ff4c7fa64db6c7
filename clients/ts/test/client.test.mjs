// What this package promises without a chain.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import * as plexus from "../dist/index.js";

test("amounts go to nplx and back", () => {
  for (const [plx, nplx] of [["0", "0"], ["1", "1000000000"], ["1.5", "1500000000"], ["0.000000001", "1"], ["21000000", "21000000000000000"]]) {
    assert.equal(plexus.toBase(plx), nplx);
    assert.equal(plexus.fromBase(nplx), plx);
  }
  for (const bad of ["", "1.", ".5", "-1", "1e9", "1.0000000001", "1 "]) {
    assert.throws(() => plexus.toBase(bad), RangeError, bad);
  }
  assert.throws(() => plexus.fromBase("1.5"), RangeError);
});

test("the registry knows the Cosmos SDK's messages and ours", () => {
  const registry = plexus.plexusRegistry();
  for (const url of ["/cosmos.bank.v1beta1.MsgSend", "/plexus.subnet.v1.MsgClaim", "/plexus.emission.v1.MsgUpdateParams",
    "/plexus.registry.v1.MsgVoteFraud", "/plexus.market.v1.MsgCreateDeployment"]) {
    assert.ok(registry.lookupType(url), url);
  }
  const sent = plexus.message(plexus.subnet.MsgSetWeightsSchema, { account: "plx1a", netuid: 3, uids: [1, 2], weights: [5, 65535], version: 7n });
  const bytes = registry.encode(sent);
  const read = registry.decode({ typeUrl: sent.typeUrl, value: bytes });
  assert.equal(toJsonString(plexus.subnet.MsgSetWeightsSchema, read), toJsonString(plexus.subnet.MsgSetWeightsSchema, sent.value));
  // Plain objects do, as CosmJS users write them.
  assert.deepEqual(registry.encode({ typeUrl: sent.typeUrl, value: { account: "plx1a", netuid: 3, uids: [1, 2], weights: [5, 65535], version: 7n } }), bytes);
});

// sample fills every field of a message, nested ones too.
function sample(schema) {
  const one = (field) => {
    if (field.message) return sample(field.message);
    if (field.enum) return field.enum.values.at(-1).number;
    const zero = create(schema)[field.localName];
    if (field.fieldKind === "list") return field.scalar === 9 ? "text" : 7;
    if (typeof zero === "string") return "text";
    if (typeof zero === "bigint") return 18014398509481985n; // not a number of JavaScript's
    if (typeof zero === "boolean") return true;
    if (zero instanceof Uint8Array) return new Uint8Array([0, 255, 1]);
    return 7;
  };
  return create(schema, Object.fromEntries(schema.fields.map((f) => [f.localName, f.fieldKind === "list" ? [one(f), one(f)] : one(f)])));
}

test("every message goes to amino JSON and back, full and empty", () => {
  const amino = plexus.plexusAminoTypes();
  assert.ok(plexus.messageSchemas.length >= 50);
  for (const schema of plexus.messageSchemas) {
    const sent = { typeUrl: plexus.typeUrl(schema), value: sample(schema) };
    const json = amino.toAmino(sent);
    assert.match(json.type, /^plexus\/\w+\/Msg\w+$/, schema.typeName);
    const back = amino.fromAmino(JSON.parse(JSON.stringify(json)));
    assert.equal(back.typeUrl, sent.typeUrl);
    assert.deepEqual(toBinary(schema, back.value), toBinary(schema, sent.value), schema.typeName);

    const empty = amino.toAmino({ ...sent, value: create(schema) });
    assert.deepEqual(amino.toAmino(amino.fromAmino(empty)), empty, schema.typeName);
  }
});

test("an empty list is null where its option keeps it, and left out elsewhere", () => {
  const resources = { id: 1, cpu: 100n, memory: 1n << 27n, storage: [{ name: "default", size: 1n }] };
  const sent = plexus.message(plexus.market.MsgCreateDeploymentSchema, { owner: "plx1a", groups: [{ name: "web", units: [{ resources, count: 1 }] }] });
  assert.deepEqual(plexus.plexusAminoTypes().toAmino(sent).value, {
    owner: "plx1a", deposit: { amount: "" },
    groups: [{
      name: "web", signed_by: {}, attributes: null,
      units: [{
        resources: {
          id: 1, cpu: "100", cpu_attributes: null, memory: "134217728", storage: [{ name: "default", size: "1", attributes: null }],
          gpu_attributes: null, endpoints: null,
        },
        count: 1, price: {},
      }],
    }],
  });
});

test("all messages of the chain's modules are there", async () => {
  for (const module of ["emission", "subnet", "registry", "market"]) {
    const proto = await readFile(new URL(`../../../api/plexus/${module}/v1/tx.proto`, import.meta.url), "utf8");
    const named = [...proto.matchAll(/^ {2}rpc \w+\((\w+)\)/gm)].map(([, name]) => `plexus.${module}.v1.${name}`);
    const known = plexus.messageSchemas.map((s) => s.typeName).filter((n) => n.startsWith(`plexus.${module}.`));
    assert.deepEqual(known, named);
    assert.ok(named.length > 0 && named.every((n) => `${n.split(".").at(-1)}Schema` in plexus[module]), module);
  }
});

test("the constants are those of the chain registry", async () => {
  const read = async (name) => JSON.parse(await readFile(new URL(`../../../deploy/registry/plexus/${name}`, import.meta.url), "utf8"));
  const chain = await read("chain.json");
  const [asset] = (await read("assetlist.json")).assets;
  assert.equal(chain.bech32_prefix, plexus.prefix);
  assert.equal(chain.slip44, plexus.coinType);
  assert.equal(asset.base, plexus.denom);
  assert.equal(asset.display, plexus.displayDenom);
  assert.equal(asset.denom_units.find((u) => u.denom === asset.display).exponent, plexus.exponent);
  assert.equal(`${chain.fees.fee_tokens[0].fixed_min_gas_price}${plexus.denom}`, plexus.gasPrice);
});
