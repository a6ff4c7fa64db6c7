/** The messages of the registry and what they are made of. */
export * from "./gen/plexus/registry/v1/registry_pb.js";
export * from "./gen/plexus/registry/v1/tx_pb.js";
