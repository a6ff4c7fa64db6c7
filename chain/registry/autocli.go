package registry

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (Module) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service:           "plexus.registry.v1.Query",
			RpcCommandOptions: queryCommands(),
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service:           "plexus.registry.v1.Msg",
			RpcCommandOptions: txCommands(),
		},
	}
}

// queryCommands describes the queries.
func queryCommands() []*autocliv1.RpcCommandOptions {
	return []*autocliv1.RpcCommandOptions{
		{RpcMethod: "Params", Use: "params", Short: "Show the parameters of cases of fraud"},
		{RpcMethod: "Manifest", Use: "manifest [hash]", Short: "Show a model's manifest by its SHA-256 in hexadecimal", PositionalArgs: args("hash")},
		{RpcMethod: "Manifests", Use: "manifests", Short: "List the models' manifests"},
		{RpcMethod: "Audits", Use: "audits [netuid] [account]", Short: "List a validator's commitments to audits and the seeds it showed", PositionalArgs: args("netuid", "account")},
		{RpcMethod: "Conduct", Use: "conduct [netuid] [account]", Short: "Count a validator's audits, shown and missed, and its roots", PositionalArgs: args("netuid", "account")},
		{RpcMethod: "Root", Use: "root [netuid] [account] [epoch]", Short: "Show the root of a validator's receipts of an epoch", PositionalArgs: args("netuid", "account", "epoch")},
		{RpcMethod: "Case", Use: "case [id]", Short: "Show a case of fraud and the votes on it", PositionalArgs: args("id")},
		{RpcMethod: "Cases", Use: "cases", Short: "List the cases of fraud, open and lately ended"},
	}
}

// txCommands describes the transactions.
func txCommands() []*autocliv1.RpcCommandOptions {
	return []*autocliv1.RpcCommandOptions{
		{
			RpcMethod: "RegisterManifest", Use: "register-manifest [body]", PositionalArgs: args("body"),
			Short: "Declare a model by its manifest, a JSON object of at most 16 KiB (a file, or hexadecimal)",
		},
		{
			RpcMethod: "CommitAudit", Use: "commit-audit [netuid] [epoch] [hash]", PositionalArgs: args("netuid", "epoch", "hash"),
			Short: "Bind yourself to the seed that draws an epoch's audits, before the epoch ends",
		},
		{
			RpcMethod: "RevealAudit", Use: "reveal-audit [netuid] [epoch] [seed]", PositionalArgs: args("netuid", "epoch", "seed"),
			Short: "Show the seed of an epoch's audits, within two epochs after it",
		},
		{
			RpcMethod: "ReportFraud", Use: "report-fraud [netuid] [miner] [manifest] [bundle]", PositionalArgs: args("netuid", "miner", "manifest", "bundle"),
			Short: "Accuse a miner: the evidence is a bundle of at most 128 KiB (a file, or hexadecimal)",
		},
		{
			RpcMethod: "VoteFraud", Use: "vote-fraud [case]", PositionalArgs: args("case"),
			Short: "Vote on an open case: innocent, or with --guilty guilty; a later vote replaces it",
		},
		{
			RpcMethod: "PublishRoot", Use: "publish-root [netuid] [epoch] [root] [count]", PositionalArgs: args("netuid", "epoch", "root", "count"),
			Short: "Publish the Merkle root of an epoch's receipts",
		},
		{RpcMethod: "UpdateParams", Skip: true}, // by a proposal of governance only
	}
}

// args returns the fields that a command takes by position.
func args(fields ...string) []*autocliv1.PositionalArgDescriptor {
	descriptors := make([]*autocliv1.PositionalArgDescriptor, len(fields))
	for i, f := range fields {
		descriptors[i] = &autocliv1.PositionalArgDescriptor{ProtoField: f}
	}
	return descriptors
}
