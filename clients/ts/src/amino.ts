import { create, type DescField, type DescMessage, getOption, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { type AminoConverter, type AminoConverters, AminoTypes, createDefaultAminoConverters } from "@cosmjs/stargate";
import { dont_omitempty, name as aminoName } from "./gen/amino/amino_pb.js";
import { complete, messageSchemas, typeUrl } from "./messages.js";

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/**
 * Converters of our messages to and from the JSON that Ledger devices sign, by
 * type URL. They follow the options in the .proto files, as the chain does.
 */
export function plexusAminoConverters(): AminoConverters {
  return Object.fromEntries(messageSchemas.map((schema) => [typeUrl(schema), converter(schema)]));
}

/** Returns the converters of the Cosmos SDK's messages and ours. */
export function plexusAminoTypes(): AminoTypes {
  return new AminoTypes({ ...createDefaultAminoConverters(), ...plexusAminoConverters() });
}

function converter(schema: DescMessage): AminoConverter {
  return {
    aminoType: getOption(schema, aminoName),
    toAmino: (value: object) => toAmino(reflect(schema, complete(schema, value))),
    fromAmino: (json: { [key: string]: Json }) => fromAmino(schema, json),
  };
}

/**
 * Writes a message: what is empty is left out unless its option says not to. An
 * empty list then is null, as the chain and amino of old write it.
 */
function toAmino(message: ReflectMessage): { [key: string]: Json } {
  const json: { [key: string]: Json } = {};
  for (const field of message.fields) {
    if (!message.isSet(field) && !getOption(field, dont_omitempty)) continue;
    switch (field.fieldKind) {
      case "scalar":
        json[field.name] = scalarToAmino(message.get(field));
        break;
      case "enum":
        json[field.name] = message.get(field);
        break;
      case "message":
        json[field.name] = toAmino(message.get(field));
        break;
      case "list":
        if (!message.isSet(field)) {
          json[field.name] = null;
          break;
        }
        json[field.name] = [...message.get(field)].map((item) =>
          field.listKind === "message" ? toAmino(item as ReflectMessage) : scalarToAmino(item),
        );
        break;
      default:
        throw unsupported(field);
    }
  }
  return json;
}

function scalarToAmino(value: unknown): Json {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return base64Encode(value);
  return value as Json;
}

/** Reads what toAmino wrote. */
function fromAmino(schema: DescMessage, json: { [key: string]: Json }): Message {
  const message = create(schema);
  const to = reflect(schema, message);
  for (const field of schema.fields) {
    const value = json[field.name];
    if (value === undefined || value === null) continue;
    switch (field.fieldKind) {
      case "scalar":
        to.set(field, scalarFromAmino(field.scalar, value));
        break;
      case "enum":
        to.set(field, value as number);
        break;
      case "message":
        to.set(field, reflect(field.message, fromAmino(field.message, value as { [key: string]: Json })));
        break;
      case "list":
        for (const item of value as Json[]) {
          to.get(field).add(listItem(field, item));
        }
        break;
      default:
        throw unsupported(field);
    }
  }
  return message;
}

function listItem(field: DescField & { fieldKind: "list" }, item: Json) {
  switch (field.listKind) {
    case "message":
      return reflect(field.message, fromAmino(field.message, item as { [key: string]: Json }));
    case "enum":
      return item as number;
    case "scalar":
      return scalarFromAmino(field.scalar, item);
  }
}

function scalarFromAmino(type: ScalarType, value: Json) {
  switch (type) {
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return BigInt(value as string);
    case ScalarType.BYTES:
      return base64Decode(value as string);
    default:
      return value as string | number | boolean;
  }
}

function unsupported(field: DescField): Error {
  return new Error(`${field.parent.typeName}.${field.name}: ${field.fieldKind} fields have no amino form`);
}
