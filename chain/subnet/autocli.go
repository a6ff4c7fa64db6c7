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
		{RpcMethod: "Claim", Use: "claim", Short: "Pay out what the account earned as a miner or an owner"},
		{RpcMethod: "UpdateSubnet", Use: "update-subnet [netuid]", Short: "Change a subnet's hyperparameters, name or kind parameters", PositionalArgs: args("netuid")},
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
