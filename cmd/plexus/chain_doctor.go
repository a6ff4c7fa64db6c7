package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/chain"
)

// A finding is what the doctor says of one thing.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok, warning or problem
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // empty if ok
}

// The states of a finding.
const (
	healthy = "ok"
	warning = "warning"
	problem = "problem"
)

// chainDoctor returns the command that looks for what is wrong with a node.
func chainDoctor(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with the node of a home folder",
		Long: `Look at the node of a home folder: its genesis, keys and disk, this machine's
clock, and, through its RPC, its peers and how far it is behind them. What is
found wrong comes with what to do about it, and makes the command fail.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found := examine(cmd.Context(), c.home)
			problems := 0
			for _, f := range found {
				if f.State == problem {
					problems++
				}
			}
			if err := printFindings(cmd, found, problems); err != nil {
				return err
			}
			if problems > 0 {
				return fmt.Errorf("the node of %s has %s", c.home, count(problems, "problem"))
			}
			return nil
		},
	}
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// printFindings writes what was found.
func printFindings(cmd *cobra.Command, found []finding, problems int) error {
	if asJSON(cmd) {
		return printJSON(cmd, map[string]any{"ok": problems == 0, "checks": found})
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Check, f.State, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", f.Advice)
		}
	}
	return w.Flush()
}

// examine looks at everything, as far as it can.
func examine(ctx context.Context, home string) []finding {
	s, err := readNode(home)
	if err != nil {
		return []finding{{"home", problem, err.Error(), "name the home folder of a node with --home"}}
	}
	keys, self := examineKeys(home)
	found := []finding{examineGenesis(home), keys, examineDisk(home), examineClock()}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	n, err := askNode(ctx, s.RPC)
	if err != nil {
		return append(found, finding{
			"node", problem, fmt.Sprintf("it does not answer on %s: %v", s.RPC, err),
			"start it with plexus chain start --home " + home + ", and look at what it prints",
		})
	}
	if id := string(n.status.NodeInfo.ID()); self != "" && id != self {
		return append(found, finding{
			"node", problem, fmt.Sprintf("another one, %s, answers on %s", id, s.RPC),
			"give this node ports of its own in " + nodeFile,
		})
	}
	return append(found, n.examineHeight(time.Duration(s.BlockTime), time.Now()), n.examinePeers(s), n.examineSigner(home))
}

// examineGenesis checks the genesis document.
func examineGenesis(home string) finding {
	g, err := readGenesis(genesisFile(home))
	if err != nil {
		return finding{"genesis", problem, err.Error(), "copy the genesis of the network there again"}
	}
	return finding{"genesis", healthy, fmt.Sprintf("chain %s of %s", g.ChainID, g.GenesisTime.UTC().Format(time.RFC3339)), ""}
}

// The files of a node's keys, as CometBFT names them.
const (
	signerKey   = "config/priv_validator_key.json"
	signerState = "data/priv_validator_state.json"
	peerKey     = "config/node_key.json"
)

// examineKeys checks that keys are there, whole, and for nobody else to read.
// It also returns the id that they give the node, empty if they are damaged.
func examineKeys(home string) (f finding, id string) {
	for _, file := range []string{signerKey, peerKey} {
		path := filepath.Join(home, file)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return finding{"keys", problem, path + " is absent", "restore it from your backup; without one a validator cannot sign, and the node gets a new name"}, ""
		}
		if err != nil {
			return finding{"keys", problem, err.Error(), "make the file readable for the user who runs the node"}, ""
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return finding{"keys", problem, fmt.Sprintf("%s has mode %04o: others can read it", path, mode), "chmod 600 " + path}, ""
		}
	}
	self, err := chain.LoadIdentity(home)
	if err != nil {
		return finding{"keys", problem, err.Error(), "restore the file from your backup"}, ""
	}
	return finding{"keys", healthy, "node " + self.NodeID, ""}, self.NodeID
}

// lowDisk is how much room a node should have: some weeks of small blocks.
const lowDisk = 5 << 30

// examineDisk checks what room the home has.
func examineDisk(home string) finding {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(home, &disk); err != nil {
		return finding{"disk", problem, err.Error(), "check that the disk is mounted"}
	}
	free := disk.Bavail * uint64(disk.Bsize)
	detail := fmt.Sprintf("%.1f GB free of %.1f GB", float64(free)/1e9, float64(disk.Blocks*uint64(disk.Bsize))/1e9)
	switch {
	case free < minFree:
		return finding{"disk", problem, detail, fmt.Sprintf("free some space: the node does not start with less than %d MB", minFree>>20)}
	case free < lowDisk:
		return finding{"disk", warning, detail, "free some space, or keep fewer blocks with keep_blocks in " + nodeFile}
	default:
		return finding{"disk", healthy, detail, ""}
	}
}

// unsynchronised is what the kernel says of a clock that nothing sets, and
// maxClockError how wrong a clock may be before votes come late.
const (
	unsynchronised = 0x40 // STA_UNSYNC of adjtimex(2)
	maxClockError  = 500 * time.Millisecond
)

// examineClock asks the kernel how good this machine's clock is.
func examineClock() finding {
	var t syscall.Timex
	if _, err := syscall.Adjtimex(&t); err != nil {
		return finding{"clock", warning, fmt.Sprintf("the kernel does not tell: %v", err), "make sure that a time service sets the clock"}
	}
	wrong := time.Duration(t.Maxerror) * time.Microsecond
	if t.Status&unsynchronised != 0 {
		return finding{"clock", warning, "nothing sets it", "run a time service, as systemd-timesyncd or chrony: a validator with a wrong clock votes too late"}
	}
	if wrong > maxClockError {
		return finding{"clock", warning, fmt.Sprintf("it may be wrong by %v", wrong), "check the time service: a validator with a wrong clock votes too late"}
	}
	return finding{"clock", healthy, fmt.Sprintf("right within %v", wrong.Round(time.Millisecond)), ""}
}

// nodeView is what a node tells of itself.
type nodeView struct {
	status *coretypes.ResultStatus
	peers  int
	best   int64 // greatest height of a peer; 0 if none tells
}

// askNode asks a running node.
func askNode(ctx context.Context, rpc string) (nodeView, error) {
	var n nodeView
	if rpc == "" {
		return n, fmt.Errorf("%s names no rpc address", nodeFile)
	}
	client, err := rpchttp.New("http://"+rpc, "/websocket")
	if err != nil {
		return n, err
	}
	if n.status, err = client.Status(ctx); err != nil {
		return n, err
	}
	net, err := client.NetInfo(ctx)
	if err != nil {
		return n, err
	}
	n.peers = net.NPeers
	dump, err := client.DumpConsensusState(ctx)
	if err != nil {
		return n, err
	}
	for _, p := range dump.Peers {
		var state struct {
			Round struct {
				Height string `json:"height"`
			} `json:"round_state"`
		}
		if json.Unmarshal(p.PeerState, &state) == nil {
			height, _ := strconv.ParseInt(state.Round.Height, 10, 64)
			n.best = max(n.best, height-1) // it works on the next
		}
	}
	return n, nil
}

// maxLag is how many blocks a node may be behind.
const maxLag = 5

// examineHeight checks that the node has the chain's latest blocks.
func (n nodeView) examineHeight(blockTime time.Duration, now time.Time) finding {
	sync := n.status.SyncInfo
	lag := max(n.best-sync.LatestBlockHeight, 0)
	age := now.Sub(sync.LatestBlockTime)
	detail := fmt.Sprintf("block %d, %v old", sync.LatestBlockHeight, age.Round(100*time.Millisecond))
	late := max(10*blockTime, 30*time.Second)
	switch {
	case sync.LatestBlockHeight == 0:
		return finding{"height", problem, "no block yet", "wait while it takes over a state; otherwise check that it reaches its peers"}
	case age < -2*time.Second:
		return finding{"height", problem, detail + ": it is in the future", "this machine's clock is behind the network's: run a time service"}
	case sync.CatchingUp || lag > maxLag:
		return finding{"height", problem, fmt.Sprintf("%s, %d behind its peers", detail, lag), "wait until it has caught up; if the number does not fall, look at its log and its disk"}
	case age > late:
		return finding{"height", problem, detail, "the network makes no blocks, or this node does not hear of them: compare with other nodes"}
	default:
		return finding{"height", healthy, detail, ""}
	}
}

// examinePeers checks that the node is connected.
func (n nodeView) examinePeers(s nodeSettings) finding {
	detail := count(n.peers, "peer")
	switch {
	case n.peers == 0 && len(s.Peers) == 0:
		return finding{"peers", healthy, detail + ", and none asked for: a chain of one node", ""}
	case n.peers == 0:
		return finding{"peers", problem, fmt.Sprintf("none, of %d in %s", len(s.Peers), nodeFile), "check the addresses of peers, and that " + s.P2P + " is reachable"}
	case n.peers == 1 && len(s.Peers) > 1:
		return finding{"peers", warning, detail, "name more peers in " + nodeFile + ": with one, its loss stops this node"}
	default:
		return finding{"peers", healthy, detail, ""}
	}
}

// examineSigner checks the validator's key against the chain.
func (n nodeView) examineSigner(home string) finding {
	power := n.status.ValidatorInfo.VotingPower
	if power == 0 {
		return finding{"validator", healthy, "its key signs no blocks: no validator, or not bonded", ""}
	}
	path := filepath.Join(home, signerState)
	text, err := os.ReadFile(path)
	if err != nil {
		return finding{"validator", problem, err.Error(), "a validator that forgot what it signed may sign twice: restore the file before it signs again"}
	}
	var last struct {
		Height int64 `json:"height,string"`
	}
	if err := json.Unmarshal(text, &last); err != nil {
		return finding{"validator", problem, fmt.Sprintf("%s is damaged: %v", path, err), "restore it before the node signs again"}
	}
	if behind := n.status.SyncInfo.LatestBlockHeight - last.Height; behind > maxLag {
		return finding{
			"validator", problem, fmt.Sprintf("power %d, but it signed nothing in the last %d blocks", power, behind),
			"look at its log; it will be jailed if it stays away",
		}
	}
	return finding{"validator", healthy, fmt.Sprintf("power %d, signed block %d", power, last.Height), ""}
}
