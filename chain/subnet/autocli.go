package subnet

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (Module) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service:           "plexus.subnet.v1.Query",
			RpcCommandOptions: queryCommands(),
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service:           "plexus.subnet.v1.Msg",
			RpcCommandOptions: txCommands(),
		},
	}
}

// queryCommands describes the queries.
func queryCommands() []*autocliv1.RpcCommandOptions {
	return []*autocliv1.RpcCommandOptions{
		{RpcMethod: "Params", Use: "params", Short: "Show the parameters of all subnets"},
		{RpcMethod: "Subnet", Use: "show [netuid]", Short: "Show a subnet's record", PositionalArgs: args("netuid")},
		{RpcMethod: "Subnets", Use: "list", Short: "List the subnets"},
		{RpcMethod: "Metagraph", Use: "metagraph [netuid]", Short: "Show a subnet's whole state", PositionalArgs: args("netuid")},
		{RpcMethod: "Neuron", Use: "neuron [netuid] [account]", Short: "Show an account's neuron", PositionalArgs: args("netuid", "account")},
		{RpcMethod: "Weights", Use: "weights [netuid]", Short: "Show the validators' weights", PositionalArgs: args("netuid")},
		{RpcMethod: "Bonds", Use: "bonds [netuid]", Short: "Show the validators' bonds", PositionalArgs: args("netuid")},
		{RpcMethod: "Price", Use: "price [netuid]", Short: "Quote a registration: of a neuron, or of a subnet for netuid 0", PositionalArgs: args("netuid")},
		{RpcMethod: "Work", Use: "work [netuid]", Short: "Show what registration by proof of work takes", PositionalArgs: args("netuid")},
		{RpcMethod: "Commitments", Use: "commitments [netuid]", Short: "Show the neurons' public metadata", PositionalArgs: args("netuid")},
		{RpcMethod: "Family", Use: "family [netuid] [account]", Short: "Show what stake an account lends on a subnet and is lent", PositionalArgs: args("netuid", "account")},
		{RpcMethod: "Claimable", Use: "claimable [account]", Short: "Show what an account can claim", PositionalArgs: args("account")},
	}
}

// txCommands describes the transactions.
func txCommands() []*autocliv1.RpcCommandOptions {
	return []*autocliv1.RpcCommandOptions{
		{RpcMethod: "RegisterSubnet", Use: "register-subnet [kind] [name]", Short: "Make a subnet by burning its price", PositionalArgs: args("kind", "name")},
		{RpcMethod: "RegisterNeuron", Use: "register-neuron [netuid]", Short: "Take a slot on a subnet by burning its price", PositionalArgs: args("netuid")},
		{RpcMethod: "UpdateAxon", Use: "update-axon [netuid] [peer-id]", Short: "Bind a peer id to a neuron", PositionalArgs: args("netuid", "peer_id")},
		{RpcMethod: "SetWeights", Use: "set-weights [netuid]", Short: "Replace a validator's weights", PositionalArgs: args("netuid")},
		{RpcMethod: "CommitWeights", Use: "commit-weights [netuid]", Short: "Hide weights behind their hash", PositionalArgs: args("netuid")},
		{RpcMethod: "RevealWeights", Use: "reveal-weights [netuid]", Short: "Show the weights of a commit", PositionalArgs: args("netuid")},
		{RpcMethod: "SetWeightsBatch", Skip: true}, // by set-weights with several subnets
		{RpcMethod: "RegisterByWork", Skip: true},  // by register-neuron --pow
		{RpcMethod: "SetCommitment", Use: "commit [netuid] [data]", Short: "Replace a neuron's public metadata", PositionalArgs: args("netuid", "data")},
		{RpcMethod: "SetChildren", Skip: true}, // children takes loans as people write them
		{RpcMethod: "SetChildTake", Use: "set-child-take [netuid] [take]", Short: "Replace what the account keeps of lent stake's dividends, of 65535", PositionalArgs: args("netuid", "take")},
		{RpcMethod: "Rotate", Use: "rotate [to]", Short: "Move all that the account owns on subnets to another", PositionalArgs: args("to")},
		{RpcMethod: "Claim", Use: "claim", Short: "Pay out what the account earned as a miner or an owner"},
		{RpcMethod: "UpdateSubnet", Use: "update-subnet [netuid]", Short: "Change a subnet's hyperparameters, name or kind parameters", PositionalArgs: args("netuid")},
		{RpcMethod: "SetIdentity", Use: "set-identity [netuid]", Short: "Replace a subnet's description, url, contact and metadata", PositionalArgs: args("netuid")},
		{RpcMethod: "SetMechanisms", Use: "set-mechanisms [netuid] [count]", Short: "Set how many mechanisms a subnet has and how they share its emission", PositionalArgs: args("netuid", "count")},
		{RpcMethod: "OfferSubnet", Use: "offer-subnet [netuid] [heir]", Short: "Offer a subnet to a new owner", PositionalArgs: args("netuid", "heir")},
		{RpcMethod: "AcceptSubnet", Use: "accept-subnet [netuid]", Short: "Take a subnet that was offered", PositionalArgs: args("netuid")},
		{RpcMethod: "DissolveSubnet", Skip: true}, // by a proposal of governance only, as is the next
		{RpcMethod: "UpdateParams", Skip: true},
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
