import {
  create,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { createProtobufRpcClient, type ProtobufRpcClient, type QueryClient } from "@cosmjs/stargate";
import { Query as EmissionQuery } from "./gen/plexus/emission/v1/query_pb.js";
import { Query as MarketQuery } from "./gen/plexus/market/v1/query_pb.js";
import { Query as RegistryQuery } from "./gen/plexus/registry/v1/query_pb.js";
import { Query as SubnetQuery } from "./gen/plexus/subnet/v1/query_pb.js";

/** A service of queries as an object: one asynchronous method for each. */
export type Queries<S extends DescService> = {
  [M in keyof S["method"]]: S["method"][M] extends DescMethodUnary<infer I, infer O>
    ? (request?: MessageInitShape<I>) => Promise<MessageShape<O>>
    : never;
};

/** What {@link setupPlexusExtension} adds to a QueryClient. */
export interface PlexusExtension {
  readonly plexus: {
    /** The token's schedule: what is minted, burned, and to come. */
    readonly emission: Queries<typeof EmissionQuery>;
    /** Subnets: neurons, weights, bonds, prices, what one can claim. */
    readonly subnet: Queries<typeof SubnetQuery>;
    /** Declared models, audits, roots of receipts, cases of fraud. */
    readonly registry: Queries<typeof RegistryQuery>;
    /** The compute market: deployments, orders, bids, leases, escrow, providers, cases of non-delivery. */
    readonly market: Queries<typeof MarketQuery>;
  };
}

/** Adds our queries to a QueryClient: QueryClient.withExtensions(comet, setupPlexusExtension). */
export function setupPlexusExtension(base: QueryClient): PlexusExtension {
  const rpc = createProtobufRpcClient(base);
  return {
    plexus: {
      emission: queries(rpc, EmissionQuery),
      subnet: queries(rpc, SubnetQuery),
      registry: queries(rpc, RegistryQuery),
      market: queries(rpc, MarketQuery),
    },
  };
}

/** Makes an object of a service. */
function queries<S extends DescService>(rpc: ProtobufRpcClient, service: S): Queries<S> {
  const methods = service.methods.map((method) => [
    method.localName,
    async (request: object = {}) => {
      const bytes = toBinary(method.input, create(method.input, request as MessageInitShape<typeof method.input>));
      return fromBinary(method.output, await rpc.request(service.typeName, method.name, bytes));
    },
  ]);
  return Object.fromEntries(methods) as Queries<S>;
}
