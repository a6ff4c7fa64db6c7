package emission

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (Module) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "plexus.emission.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Params", Use: "params", Short: "Show the parameters of the schedule"},
				{RpcMethod: "Schedule", Use: "schedule", Short: "Show what was minted and when the next halving is"},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "plexus.emission.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "UpdateParams", Skip: true}, // by a proposal of governance only
			},
		},
	}
}
