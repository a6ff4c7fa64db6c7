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

// txCommands describes the transactions whose commands follow from the message.
func txCommands() []*autocliv1.RpcCommandOptions {
	commands := []*autocliv1.RpcCommandOptions{
		{RpcMethod: "RegisterSubnet", Use: "register-subnet [kind] [name]", Short: "Make a subnet by burning its price", PositionalArgs: args("kind", "name")},
		{RpcMethod: "RegisterNeuron", Use: "register-neuron [netuid]", Short: "Take a slot on a subnet by burning its price", PositionalArgs: args("netuid")},
		{RpcMethod: "UpdateAxon", Use: "update-axon [netuid] [peer-id]", Short: "Bind a peer id to a neuron", PositionalArgs: args("netuid", "peer_id")},
		{RpcMethod: "SetChildTake", Use: "set-child-take [netuid] [take]", Short: "Replace what the account keeps of lent stake's dividends, of 65535", PositionalArgs: args("netuid", "take")},
		{RpcMethod: "Rotate", Use: "rotate [to]", Short: "Move all that the account owns on subnets to another", PositionalArgs: args("to")},
		{RpcMethod: "Claim", Use: "claim", Short: "Pay out what the account earned as a miner or an owner"},
		{RpcMethod: "UpdateSubnet", Use: "update-subnet [netuid]", Short: "Change a subnet's hyperparameters, name or kind parameters", PositionalArgs: args("netuid")},
		{RpcMethod: "OfferSubnet", Use: "offer-subnet [netuid] [heir]", Short: "Offer a subnet to a new owner", PositionalArgs: args("netuid", "heir")},
		{RpcMethod: "AcceptSubnet", Use: "accept-subnet [netuid]", Short: "Take a subnet that was offered", PositionalArgs: args("netuid")},
	}
	for _, m := range []string{
		"SetWeights", "CommitWeights", "RevealWeights", "SetWeightsBatch", // cmd/plexus takes rows as people write them,
		"SetChildren", "SetIdentity", "SetMechanisms", "SetCommitment", "RegisterByWork", // and so on;
		"DissolveSubnet", "UpdateParams", // these are proposals of governance
	} {
		commands = append(commands, &autocliv1.RpcCommandOptions{RpcMethod: m, Skip: true})
	}
	return commands
}

// args returns the fields that a command takes by position.
func args(fields ...string) []*autocliv1.PositionalArgDescriptor {
	descriptors := make([]*autocliv1.PositionalArgDescriptor, len(fields))
	for i, f := range fields {
		descriptors[i] = &autocliv1.PositionalArgDescriptor{ProtoField: f}
	}
	return descriptors
}
