package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
	"cosmossdk.io/client/v2/autocli/flag"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	"github.com/cosmos/cosmos-sdk/codec/address"
	sdk "github.com/cosmos/cosmos-sdk/types"
	gogoproto "github.com/cosmos/gogoproto/proto"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/coin"
)

// useUnits makes the SDK's own commands read "1.5plx" as 1500000000nplx. Units
// are of the whole process.
var useUnits = sync.OnceValue(func() error {
	if err := sdk.RegisterDenom(coin.Display, math.LegacyOneDec()); err != nil {
		return err
	}
	return sdk.RegisterDenom(coin.Denom, math.LegacyNewDecWithPrec(1, 9))
})

// A catalogue is the chain's modules as the command line sees them.
type catalogue struct {
	app     *chain.App // in memory, of no chain: it knows messages, not state
	options map[string]*autocliv1.ModuleOptions
}

// newCatalogue asks a state machine for its modules.
func newCatalogue() (*catalogue, error) {
	if err := useUnits(); err != nil {
		return nil, fmt.Errorf("units of the token: %w", err)
	}
	app, err := chain.NewApp(chain.AppOptions{})
	if err != nil {
		return nil, fmt.Errorf("messages of the chain: %w", err)
	}
	options := app.AutoCLI()
	options["comet"] = &autocliv1.ModuleOptions{Query: cmtservice.CometBFTAutoCLIDescriptor}
	options["node"] = &autocliv1.ModuleOptions{Query: nodeservice.ServiceAutoCLIDescriptor}
	return &catalogue{app: app, options: options}, nil
}

// newFlagBuilder returns what reads messages from flags and arguments.
func newFlagBuilder() (flag.Builder, error) {
	files, err := gogoproto.MergedRegistry()
	if err != nil {
		return flag.Builder{}, fmt.Errorf("descriptions of messages: %w", err)
	}
	b := flag.Builder{
		TypeResolver:          protoregistry.GlobalTypes,
		FileResolver:          files,
		AddressCodec:          address.NewBech32Codec(chain.Prefix),
		ValidatorAddressCodec: address.NewBech32Codec(chain.Prefix + "valoper"),
		ConsensusAddressCodec: address.NewBech32Codec(chain.Prefix + "valcons"),
	}
	b.DefineMessageFlagType("cosmos.base.v1beta1.Coin", coinFlag{})
	return b, nil
}

// A lazy command builds its subcommands when it is run: there are hundreds,
// and who runs a miner needs none of them.
func lazy(cmd *cobra.Command, build func() (*cobra.Command, error)) *cobra.Command {
	once := sync.OnceValues(build)
	run := func(asked *cobra.Command, args []string) error {
		built, err := once()
		if err != nil {
			return err
		}
		// Under a parent of the same name, so that help shows the whole path.
		root := &cobra.Command{Use: asked.Root().Name(), SilenceUsage: true, SilenceErrors: true}
		root.CompletionOptions.DisableDefaultCmd = true
		root.SetHelpCommand(&cobra.Command{Hidden: true})
		root.AddCommand(built)
		root.SetArgs(append([]string{built.Name()}, args...))
		root.SetIn(asked.InOrStdin())
		root.SetOut(asked.OutOrStdout())
		root.SetErr(asked.ErrOrStderr())
		leaf, err := root.ExecuteContextC(asked.Context())
		return usage(leaf, err)
	}
	cmd.DisableFlagParsing = true
	cmd.RunE = run
	cmd.SetHelpFunc(func(asked *cobra.Command, args []string) {
		if len(args) > 0 && args[0] == asked.Name() {
			args = args[1:]
		}
		if err := run(asked, append(slices.DeleteFunc(args, isHelp), "--help")); err != nil {
			asked.PrintErrln(err)
		}
	})
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
		built, err := once()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return complete(built, args, part), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" || arg == "help" }

// complete returns the subcommands of cmd that the words typed so far lead to.
func complete(cmd *cobra.Command, args []string, part string) []string {
	at, rest, err := cmd.Find(args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	var names []string
	for _, sub := range at.Commands() {
		if sub.IsAvailableCommand() && strings.HasPrefix(sub.Name(), part) {
			names = append(names, sub.Name()+"\t"+sub.Short)
		}
	}
	return names
}

// leaves returns the commands at and below cmd that run something.
func leaves(cmd *cobra.Command) []*cobra.Command {
	if !cmd.HasSubCommands() {
		return []*cobra.Command{cmd}
	}
	var all []*cobra.Command
	for _, sub := range cmd.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

// find returns the command at a path below cmd, or nil.
func find(cmd *cobra.Command, path ...string) *cobra.Command {
	for _, name := range path {
		i := slices.IndexFunc(cmd.Commands(), func(sub *cobra.Command) bool { return sub.Name() == name })
		if i < 0 {
			return nil
		}
		cmd = cmd.Commands()[i]
	}
	return cmd
}
