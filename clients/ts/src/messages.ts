import {
  create,
  type DescMessage,
  fromBinary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { type EncodeObject, type GeneratedType, Registry } from "@cosmjs/proto-signing";
import { defaultRegistryTypes } from "@cosmjs/stargate";
import { Msg as EmissionMsg } from "./gen/plexus/emission/v1/tx_pb.js";
import { Msg as MarketMsg } from "./gen/plexus/market/v1/tx_pb.js";
import { Msg as RegistryMsg } from "./gen/plexus/registry/v1/tx_pb.js";
import { Msg as SubnetMsg } from "./gen/plexus/subnet/v1/tx_pb.js";

/** The services that take our messages, one per module of the chain. */
const services = [EmissionMsg, SubnetMsg, RegistryMsg, MarketMsg];

/** The descriptions of all of our messages. */
export const messageSchemas: readonly DescMessage[] = services.flatMap((s) => s.methods.map((m) => m.input));

/** Returns the type URL of a message: "/plexus.subnet.v1.MsgClaim". */
export function typeUrl(schema: DescMessage): string {
  return `/${schema.typeName}`;
}

/** Returns a message that a signing client takes, out of the fields given. */
export function message<D extends DescMessage>(schema: D, fields: MessageInitShape<D>): EncodeObject {
  return { typeUrl: typeUrl(schema), value: create(schema, fields) };
}

/** Reads a message of a transaction or of its result. */
export function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  return fromBinary(schema, bytes);
}

/** Returns a message as it is, or made of the fields given. */
export function complete(schema: DescMessage, value: object): MessageShape<DescMessage> {
  return isMessage(value, schema) ? value : create(schema, value as MessageInitShape<DescMessage>);
}

/** Makes a description what the registry of CosmJS wants. */
function generatedType(schema: DescMessage): GeneratedType {
  return {
    encode: (value: object) => new BinaryWriter().raw(toBinary(schema, complete(schema, value))),
    decode: (input: Uint8Array) => fromBinary(schema, input),
    fromPartial: (value: object) => complete(schema, value),
  } as GeneratedType;
}

/** Our messages with their type URLs, to add to a registry of your own. */
export const plexusRegistryTypes: ReadonlyArray<[string, GeneratedType]> = messageSchemas.map((schema) => [
  typeUrl(schema),
  generatedType(schema),
]);

/** Returns a registry of the Cosmos SDK's messages and ours. */
export function plexusRegistry(): Registry {
  return new Registry([...defaultRegistryTypes, ...plexusRegistryTypes]);
}
