package market

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (Module) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{Service: "plexus.market.v1.Query", RpcCommandOptions: queryCommands()},
		Tx:    &autocliv1.ServiceCommandDescriptor{Service: "plexus.market.v1.Msg", RpcCommandOptions: txCommands()},
	}
}

// Positions of what names things.
var (
	deploymentArgs = []string{"owner", "dseq"}
	groupArgs      = []string{"owner", "dseq", "gseq"}
	orderArgs      = []string{"owner", "dseq", "gseq", "oseq"}
	bidArgs        = []string{"owner", "dseq", "gseq", "oseq", "provider"}
)

// queryCommands describes the queries.
func queryCommands() []*autocliv1.RpcCommandOptions {
	return []*autocliv1.RpcCommandOptions{
		{RpcMethod: "Params", Use: "params", Short: "Show the market's parameters"},
		command("Deployment", "deployment", "Show a deployment with its groups, its money and its runway", deploymentArgs),
		{RpcMethod: "Deployments", Use: "deployments", Short: "List deployments, by --owner and --state"},
		command("Group", "group", "Show a group of a deployment", groupArgs),
		command("Order", "order", "Show an order with what it asks for", orderArgs),
		{RpcMethod: "Orders", Use: "orders", Short: "List orders, by --owner, --dseq and --state: order-state-open are up for bids"},
		command("Bid", "bid", "Show a bid", bidArgs),
		{RpcMethod: "Bids", Use: "bids", Short: "List bids, by --owner, --dseq, --gseq, --oseq, --provider and --state"},
		command("Lease", "lease", "Show a lease with what it is owed and its runway", bidArgs),
		{RpcMethod: "Leases", Use: "leases", Short: "List leases, by --owner, --dseq, --provider and --state"},
		command("Escrow", "escrow", "Show a deployment's money: deposits, rate, what is left and for how many blocks", deploymentArgs),
		{RpcMethod: "Allowances", Use: "allowances", Short: "List who may pay deployments from whose coins, by --granter and --grantee"},
		command("Provider", "provider", "Show a provider with what auditors sign of it", []string{"account"}),
		{RpcMethod: "Providers", Use: "providers", Short: "List the providers, by --state"},
		{RpcMethod: "Audits", Use: "audits", Short: "List what auditors sign of providers, by --provider and --auditor"},
		command("Case", "case", "Show a report of non-delivery and the votes on it", []string{"id"}),
		{RpcMethod: "Cases", Use: "cases", Short: "List the reports of non-delivery, open and lately ended, by --provider"},
	}
}

// txCommands describes the transactions.
func txCommands() []*autocliv1.RpcCommandOptions {
	return []*autocliv1.RpcCommandOptions{
		command("CreateDeployment", "create-deployment", "Open a deployment: its manifest's hash, a deposit, and its --groups in JSON", []string{"hash", "deposit"}),
		command("UpdateDeployment", "update-deployment", "Set the hash of another manifest for the same resources", []string{"dseq", "hash"}),
		command("CloseDeployment", "close-deployment", "End a deployment and get back what it did not spend", []string{"dseq"}),
		command("PauseGroup", "pause-group", "End a group's order or lease for now", []string{"dseq", "gseq"}),
		command("StartGroup", "start-group", "Order a paused group again", []string{"dseq", "gseq"}),
		command("CloseGroup", "close-group", "End a group for good", []string{"dseq", "gseq"}),
		command("CreateBid", "create-bid", "Bid on an order: a price per block in JSON, a deposit, and --offers in JSON", append(orderArgs[:4:4], "price", "deposit")),
		command("CloseBid", "close-bid", "End a bid, and its lease if it has one, for a --reason", orderArgs),
		command("CreateLease", "create-lease", "Take a bid", bidArgs[1:]),
		command("CloseLease", "close-lease", "End a lease; its group is ordered again", bidArgs[1:]),
		command("ReclaimLease", "reclaim-lease", "Give the notice that was promised", orderArgs),
		command("WithdrawLease", "withdraw-lease", "Get what a lease has earned", orderArgs),
		command("Deposit", "deposit", "Add to a deployment's escrow, your own or another's", append(deploymentArgs[:2:2], "amount")),
		command("SetAllowance", "set-allowance", "Let another account pay its deployments from your coins, up to a limit; 0 ends it", []string{"grantee", "limit"}),
		command("CreateProvider", "create-provider", "Enter the market as a provider, with --attributes in JSON", []string{"host_uri", "deposit"}),
		command("UpdateProvider", "update-provider", "Replace what you tell of yourself as a provider; --add adds to the deposit", []string{"host_uri"}),
		command("DeleteProvider", "delete-provider", "Leave the market; the deposit returns after the unbonding", nil),
		command("SignAttributes", "sign-attributes", "Sign --attributes of a provider, in JSON", []string{"provider"}),
		command("DeleteAttributes", "delete-attributes", "Take back --keys that you signed of a provider, or all", []string{"provider"}),
		command("ReportNonDelivery", "report-non-delivery", "Accuse the provider of a lease, with evidence of at most 64 KiB (a file, or hexadecimal)", append(bidArgs[:5:5], "evidence")),
		command("VoteNonDelivery", "vote-non-delivery", "Vote on an open case: innocent, or with --guilty guilty; a later vote replaces it", []string{"case"}),
		{RpcMethod: "UpdateParams", Skip: true}, // by a proposal of governance only
	}
}

// command describes one command with the fields that it takes by position.
func command(method, name, short string, fields []string) *autocliv1.RpcCommandOptions {
	o := &autocliv1.RpcCommandOptions{RpcMethod: method, Use: name, Short: short}
	for _, f := range fields {
		o.Use += " [" + f + "]"
		o.PositionalArgs = append(o.PositionalArgs, &autocliv1.PositionalArgDescriptor{ProtoField: f})
	}
	return o
}
