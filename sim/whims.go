package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// A whim is something that people do: who, and by which messages. It may well
// be refused; no message means that nobody can do it now.
type whim func(*Storm) (*Person, sdk.Msg)

// ours are the whims of the modules of this chain, the common ones more than
// once.
var ours = []whim{
	registerNeuron, registerNeuron, registerNeuron, registerNeuron, registerByWork, registerByWork, updateAxon, updateAxon,
	setWeights, setWeights, setWeights, setWeights, setWeights, setRoot, setBatch, setBatch,
	commit, commit, commit, reveal, reveal, reveal, claim, claim,
	registerSubnet, updateSubnet, updateSubnet, setIdentity, setMechanisms, offer, accept,
	setCommitment, setCommitment, setChildren, setChildren, setChildTake, setChildTake, rotate,
}

// whim returns somebody and what it does.
func (s *Storm) whim() (*Person, []sdk.Msg) {
	from := ours
	switch n := s.rng.IntN(20); {
	case n < 7:
		from = theirs
	case n < 10:
		from = bound
	case n < 14:
		from = trade
	}
	p, msg := pick(s, from)(s)
	if msg == nil {
		return p, nil
	}
	return p, []sdk.Msg{msg}
}

// fee returns what a transaction pays: mostly nothing.
func (s *Storm) fee(sdk.Msg) coin.Amount {
	if s.one(3) {
		return coin.Amount(s.rng.IntN(int(coin.PLX / 100)))
	}
	return 0
}

// at returns one of the subnets but the root.
func (s *Storm) at() subnetv1.Subnet {
	if len(s.subnets) < 2 {
		return subnetv1.Subnet{Netuid: 9}
	}
	return pick(s, s.subnets[1:])
}

// seat returns a subnet on which p has a neuron; one of all, now and then or
// if there is none.
func (s *Storm) seat(p *Person) subnetv1.Subnet {
	seats := s.seats(p)
	if len(seats) == 0 || s.one(10) {
		return s.at()
	}
	return pick(s, seats)
}

// seats returns the subnets but the root on which p has a neuron.
func (s *Storm) seats(p *Person) (seats []subnetv1.Subnet) {
	for _, at := range s.subnets[1:] {
		r := &subnetv1.QueryNeuronResponse{}
		if s.Query("/plexus.subnet.v1.Query/Neuron", &subnetv1.QueryNeuronRequest{Netuid: at.Netuid, Account: p.Address()}, r) == nil {
			seats = append(seats, at)
		}
	}
	return seats
}

// amount returns up to most.
func (s *Storm) amount(most coin.Amount) coin.Amount {
	return coin.Amount(1 + s.rng.Uint64N(uint64(most)))
}

// who returns the person of an address, or somebody if it is nobody's.
func (s *Storm) who(address string) *Person {
	if p := s.crew[address]; p != nil {
		return p
	}
	return pick(s, s.rich)
}

func registerSubnet(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.rich)
	return p, &subnetv1.MsgRegisterSubnet{Owner: p.Address(), Kind: "text", Name: "new", MaxPrice: nplx(20 * coin.PLX)}
}

func registerNeuron(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, &subnetv1.MsgRegisterNeuron{Account: p.Address(), Netuid: s.at().Netuid, MaxPrice: nplx(s.amount(10 * coin.PLX))}
}

// registerByWork solves the work of a subnet, mostly for a person whom the
// chain does not know yet.
func registerByWork(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	if s.one(2) {
		s.newcomers++
		p = NewPerson(fmt.Sprint("n", s.newcomers))
		s.people = append(s.people, p)
		s.crew[p.Address()] = p
	}
	at := s.at()
	q := &subnetv1.QueryWorkResponse{}
	if err := s.Query("/plexus.subnet.v1.Query/Work", &subnetv1.QueryWorkRequest{Netuid: at.Netuid}, q); err != nil || q.Difficulty > 32 {
		return p, nil
	}
	m := &subnetv1.MsgRegisterByWork{Account: p.Address(), Netuid: at.Netuid, Height: q.Height}
	for tries := s.rng.IntN(64); tries > 0 && !coin.Hashes(q.Difficulty).Meets(coin.Seal(p.Account(), at.Netuid, q.Hash, m.Nonce)); tries-- {
		m.Nonce++
	}
	return p, m
}

func updateAxon(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	at := s.seat(p)
	seed := sha256.Sum256([]byte(p.Name()))
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		return p, nil
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return p, nil
	}
	proof, err := key.Sign(subnet.AxonStatement(chainID, at.Netuid, p.Account()))
	if err != nil {
		return p, nil
	}
	return p, &subnetv1.MsgUpdateAxon{Account: p.Address(), Netuid: at.Netuid, PeerId: id.String(), Protocols: []string{"/plexus/axon/1.0.0"}, Proof: proof}
}

// opinion returns weights on some neurons of a subnet.
func (s *Storm) opinion(at subnetv1.Subnet) (uids, weights []uint32) {
	for uid := range at.Neurons {
		if s.one(2) {
			uids, weights = append(uids, uid), append(weights, s.rng.Uint32N(math.MaxUint16+1))
		}
	}
	return uids, weights
}

func setWeights(s *Storm) (*Person, sdk.Msg) {
	p := s.voter()
	at := s.seat(p)
	m := &subnetv1.MsgSetWeights{Account: p.Address(), Netuid: at.Netuid, Mechanism: s.rng.Uint32N(max(1, at.Mechanisms))}
	m.Uids, m.Weights = s.opinion(at)
	return p, m
}

// voter returns an operator mostly, and else somebody who may be a child.
func (s *Storm) voter() *Person {
	if s.one(5) {
		return pick(s, s.people)
	}
	return pick(s, s.operators)
}

func setRoot(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.operators)
	m := &subnetv1.MsgSetWeights{Account: p.Address(), Netuid: subnet.Root}
	for _, at := range s.subnets[1:] {
		m.Uids, m.Weights = append(m.Uids, at.Netuid), append(m.Weights, s.rng.Uint32N(100))
	}
	return p, m
}

func setBatch(s *Storm) (*Person, sdk.Msg) {
	p := s.voter()
	m := &subnetv1.MsgSetWeightsBatch{Account: p.Address()}
	for _, at := range s.seats(p) {
		if at.Hyperparameters.CommitReveal {
			continue
		}
		set := subnetv1.MsgSetWeights{Netuid: at.Netuid}
		set.Uids, set.Weights = s.opinion(at)
		m.Sets = append(m.Sets, set)
	}
	return p, m
}

// A secret is what somebody committed to and has to reveal.
type secret struct {
	reveal subnetv1.MsgRevealWeights
	epoch  uint64 // of the commit
	wait   uint64 // epochs
}

func commit(s *Storm) (*Person, sdk.Msg) {
	p := s.voter()
	at := s.seat(p)
	for _, other := range s.seats(p) { // rather one that hides weights
		if !at.Hyperparameters.CommitReveal && other.Hyperparameters.CommitReveal {
			at = other
		}
	}
	m := subnetv1.MsgRevealWeights{Account: p.Address(), Netuid: at.Netuid, Mechanism: s.rng.Uint32N(max(1, at.Mechanisms)), Salt: fmt.Append(nil, s.rng.Uint64())}
	m.Uids, m.Weights = s.opinion(at)
	hash, err := Commitment(p, int(at.Neurons), &m)
	if err != nil {
		return p, nil
	}
	s.secrets = append(s.secrets, secret{reveal: m, epoch: at.Epoch, wait: uint64(at.Hyperparameters.RevealEpochs)})
	return p, &subnetv1.MsgCommitWeights{Account: m.Account, Netuid: m.Netuid, Mechanism: m.Mechanism, Hash: hash}
}

// Commitment returns the hash that hides the weights of m, of a subnet of n
// neurons, until p reveals them. See MsgCommitWeights in
// api/plexus/subnet/v1/tx.proto.
func Commitment(p *Person, n int, m *subnetv1.MsgRevealWeights) ([]byte, error) {
	uids, weights := make([]yuma.UID, len(m.Uids)), make([]uint16, len(m.Weights))
	for i := range m.Uids {
		uids[i], weights[i] = yuma.UID(m.Uids[i]), uint16(m.Weights[i])
	}
	row, err := yuma.NewWeights(0, uids, weights, n, 0)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint16(append([]byte{}, p.Account()...), uint16(m.Mechanism))
	b = binary.BigEndian.AppendUint16(b, uint16(m.Netuid))
	b = binary.BigEndian.AppendUint64(yuma.AppendRow(b, row), m.Version)
	sum := sha256.Sum256(append(b, m.Salt...))
	return sum[:], nil
}

// reveal shows a secret that is due, and forgets those that cannot be any more.
func reveal(s *Storm) (*Person, sdk.Msg) {
	epochs := map[uint32]uint64{}
	for _, at := range s.subnets {
		epochs[at.Netuid] = at.Epoch
	}
	var kept []secret
	var due *subnetv1.MsgRevealWeights
	for _, c := range s.secrets {
		now, live := epochs[c.reveal.Netuid]
		switch {
		case !live || now > c.epoch+c.wait:
		case due == nil && now == c.epoch+c.wait:
			due = &c.reveal
		default:
			kept = append(kept, c)
		}
	}
	if s.secrets = kept; due == nil {
		return nil, nil
	}
	return s.crew[due.Account], due
}

func claim(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, &subnetv1.MsgClaim{Account: p.Address()}
}

func updateSubnet(s *Storm) (*Person, sdk.Msg) {
	at := s.at()
	p := s.who(at.Owner)
	if at.Hyperparameters.Tempo > 100 { // a new one, whose epochs are rare
		return p, &subnetv1.MsgUpdateSubnet{Authority: p.Address(), Netuid: at.Netuid, Hyperparameters: `{"tempo":8,"max_uids":12,"weights_rate_limit":1}`}
	}
	change := pick(s, []string{
		fmt.Sprintf(`{"tempo":%d}`, 5+s.rng.IntN(12)),
		fmt.Sprintf(`{"max_uids":%d}`, 8+s.rng.IntN(8)),
		fmt.Sprintf(`{"kappa":%d,"bonds_penalty":%d}`, s.rng.IntN(65536), s.rng.IntN(65536)),
		fmt.Sprintf(`{"commit_reveal":%v}`, s.one(2)),
		fmt.Sprintf(`{"reveal_epochs":%d}`, 1+s.rng.IntN(3)),
		fmt.Sprintf(`{"liquid_alpha":%v,"bond_rule":%d}`, s.one(2), 2+s.rng.IntN(2)),
		fmt.Sprintf(`{"owner_cut":%d}`, s.rng.IntN(12_000)),
		fmt.Sprintf(`{"activity_cutoff":%d}`, 20+s.rng.IntN(200)),
		fmt.Sprintf(`{"stake_threshold":%d}`, s.amount(2000*coin.PLX)),
		fmt.Sprintf(`{"max_validators":%d,"immunity_period":%d}`, 1+s.rng.IntN(9), s.rng.IntN(50)),
		`{"registration_open":true,"weights_rate_limit":1}`,
	})
	return p, &subnetv1.MsgUpdateSubnet{Authority: p.Address(), Netuid: at.Netuid, Hyperparameters: change}
}

func setIdentity(s *Storm) (*Person, sdk.Msg) {
	at := s.at()
	p := s.who(at.Owner)
	return p, &subnetv1.MsgSetIdentity{Authority: p.Address(), Netuid: at.Netuid, Identity: subnetv1.Identity{
		Description: fmt.Sprint("described ", s.rng.IntN(100), " times"), Url: "https://plexus.example",
	}}
}

func setMechanisms(s *Storm) (*Person, sdk.Msg) {
	at := s.at()
	p := s.who(at.Owner)
	m := &subnetv1.MsgSetMechanisms{Authority: p.Address(), Netuid: at.Netuid, Count: 1 + s.rng.Uint32N(3)}
	if m.Count == 2 {
		first := s.rng.Uint32N(math.MaxUint16)
		m.Split = []uint32{first, math.MaxUint16 - first}
	}
	return p, m
}

func offer(s *Storm) (*Person, sdk.Msg) {
	at := s.at()
	p := s.who(at.Owner)
	return p, &subnetv1.MsgOfferSubnet{Authority: p.Address(), Netuid: at.Netuid, Heir: pick(s, s.rich).Address()}
}

func accept(s *Storm) (*Person, sdk.Msg) {
	for _, at := range s.subnets {
		if at.Heir != "" {
			p := s.who(at.Heir)
			return p, &subnetv1.MsgAcceptSubnet{Account: p.Address(), Netuid: at.Netuid}
		}
	}
	return nil, nil
}

func setCommitment(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, &subnetv1.MsgSetCommitment{Account: p.Address(), Netuid: s.seat(p).Netuid, Data: make([]byte, s.rng.IntN(64))}
}

func setChildren(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.operators)
	m := &subnetv1.MsgSetChildren{Account: p.Address(), Netuid: s.at().Netuid}
	left := uint32(math.MaxUint16)
	for range s.rng.IntN(5) {
		part := s.rng.Uint32N(left) + 1
		left -= min(part, left-1)
		m.Loans = append(m.Loans, subnetv1.Loan{Child: pick(s, s.people).Address(), Proportion: part})
	}
	return p, m
}

func setChildTake(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, &subnetv1.MsgSetChildTake{Account: p.Address(), Netuid: s.seat(p).Netuid, Take: s.rng.Uint32N(12_000)}
}

func rotate(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, &subnetv1.MsgRotate{Account: p.Address(), To: pick(s, s.people).Address()}
}
