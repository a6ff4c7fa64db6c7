/**
 * Messages and queries of the Plexus chain for CosmJS.
 *
 * A client of CosmJS learns our messages from {@link plexusRegistry} and, for
 * Ledger, from {@link plexusAminoConverters}; {@link message} makes one to
 * sign; {@link setupPlexusExtension} adds our queries to a QueryClient. What
 * messages there are is read from the .proto files, whose types are exported
 * below by module.
 *
 * @packageDocumentation
 */
export * from "./chain.js";
export * from "./messages.js";
export * from "./amino.js";
export * from "./queries.js";
export { type EventEpoch, EventEpochSchema } from "./gen/plexus/subnet/v1/events_pb.js";
export * as emission from "./gen/plexus/emission/v1/tx_pb.js";
export * as market from "./market.js";
export * as registry from "./registry.js";
export * as subnet from "./subnet.js";
