// Package ledger is the chain as others see it: what is on it, what happens
// next, and how to change it.
//
// It speaks the chain's public gRPC interface and imports no state machine, so
// that a gateway or a miner links none. Start at [Client].
package ledger

import (
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// Head is the latest block.
type Head struct {
	Height yuma.Height
	Hash   [32]byte
	Time   time.Time
}

// Neuron is a neuron with what the latest epoch said of it. u16 values are
// proportions of 65535.
type Neuron struct {
	UID        yuma.UID
	Account    string // bech32 address of the coldkey
	PeerID     string // libp2p peer id in text form; empty before the first UpdateAxon
	Registered yuma.Height
	LastUpdate yuma.Height

	Stake          coin.Amount // bonded tokens, as of the latest epoch
	Active         bool
	Permit         bool
	Rank           uint16
	Trust          uint16
	Consensus      uint16
	Incentive      uint16
	Dividends      uint16
	ValidatorTrust uint16

	ServerEmission    coin.Amount // of the latest epoch
	ValidatorEmission coin.Amount // of the latest epoch
	Claimable         coin.Amount
}

// Metagraph is a subnet's state at a height. Neurons are in order of uid,
// without holes.
type Metagraph struct {
	Height     yuma.Height
	Netuid     yuma.Netuid
	Kind       string
	Name       string
	Owner      string // bech32 address
	KindParams []byte

	Tempo            yuma.Height // blocks between epochs
	EpochNumber      uint64      // epochs that ran
	LastEpoch        yuma.Height // 0 before the first
	NextEpoch        yuma.Height
	WeightsRateLimit yuma.Height // blocks between two settings of weights
	WeightsVersion   uint64
	MinWeights       int
	CommitReveal     bool
	RevealEpochs     int

	Neurons []Neuron
}
