/** The messages of subnets and what they are made of. */
export * from "./gen/plexus/subnet/v1/owner_pb.js";
export * from "./gen/plexus/subnet/v1/subnet_pb.js";
export * from "./gen/plexus/subnet/v1/tx_pb.js";
export * from "./gen/plexus/subnet/v1/work_pb.js";
