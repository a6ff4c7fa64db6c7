/** The messages of the compute market and what they are made of. */
export * from "./gen/plexus/market/v1/market_pb.js";
export * from "./gen/plexus/market/v1/resources_pb.js";
export * from "./gen/plexus/market/v1/tx_pb.js";
