package sim

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	sdk "github.com/cosmos/cosmos-sdk/types"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/registry"
)

// bound are the whims of the registry: what people are bound to and accused of.
var bound = []whim{
	registerManifest, commitAudit, commitAudit, revealAudit, revealAudit, publishRoot, publishRoot,
	reportFraud, reportFraud, voteFraud, voteFraud, voteFraud, voteFraud,
}

// stormCourt lets cases come, end and be forgotten in few blocks.
func stormCourt(state map[string]json.RawMessage) error {
	var g map[string]json.RawMessage
	if err := json.Unmarshal(state[registry.ModuleName], &g); err != nil {
		return err
	}
	g["params"] = json.RawMessage(`{"voting_period":"25","case_retention":"40","report_interval":"3"}`)
	var err error
	state[registry.ModuleName], err = json.Marshal(g)
	return err
}

// bench returns a subnet with somebody who may judge there and somebody who may
// be judged; now and then, or if there are none, with anybody.
func (s *Storm) bench() (at subnetv1.Subnet, judge, miner *Person) {
	for range len(s.subnets) {
		at = s.at()
		if judges, miners := s.parties(at.Netuid); len(judges) > 0 && len(miners) > 0 && !s.one(10) {
			return at, pick(s, judges), pick(s, miners)
		}
	}
	return at, s.voter(), pick(s, s.people)
}

// parties returns the people of a subnet with a permit, and those without.
func (s *Storm) parties(netuid uint32) (judges, miners []*Person) {
	r := &subnetv1.QueryMetagraphResponse{}
	if err := s.Query("/plexus.subnet.v1.Query/Metagraph", &subnetv1.QueryMetagraphRequest{Netuid: netuid}, r); err != nil {
		return nil, nil
	}
	for _, n := range r.Neurons {
		switch p := s.crew[n.Neuron.Account]; {
		case p == nil:
		case n.Permit:
			judges = append(judges, p)
		default:
			miners = append(miners, p)
		}
	}
	return judges, miners
}

// manifest is one of the models that a storm knows.
func (s *Storm) manifest() []byte { return fmt.Appendf(nil, `{"model":"model %d"}`, s.rng.IntN(12)) }

func registerManifest(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, &registryv1.MsgRegisterManifest{Account: p.Address(), Body: s.manifest()}
}

// auditSeed is the seed of an epoch, which a person can tell again later.
func auditSeed(p *Person, netuid uint32, epoch uint64) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s, subnet %d, epoch %d", p.Name(), netuid, epoch))
}

// A pledge is a commitment to the seed of an epoch's audits.
type pledge struct {
	by     *Person
	netuid uint32
	epoch  uint64
}

func commitAudit(s *Storm) (*Person, sdk.Msg) {
	at, p, _ := s.bench()
	epoch := uint64(s.height)/max(at.Hyperparameters.Tempo, 1) + s.rng.Uint64N(6)
	seed := auditSeed(p, at.Netuid, epoch)
	hash := sha256.Sum256(append([]byte("plexus/text/audit/v1/commit"), seed[:]...))
	s.pledges = append(s.pledges, pledge{p, at.Netuid, epoch})
	return p, &registryv1.MsgCommitAudit{Account: p.Address(), Netuid: at.Netuid, Epoch: epoch, Hash: hash[:]}
}

// revealAudit shows a seed that is due, or now and then one that is not, and
// forgets those that cannot be shown any more.
func revealAudit(s *Storm) (*Person, sdk.Msg) {
	for len(s.pledges) > 0 {
		i := s.rng.IntN(len(s.pledges))
		k := s.pledges[i]
		a, pledged := s.audit(k)
		if pledged && s.height < a.Ends && !s.one(20) {
			return k.by, nil
		}
		s.pledges = slices.Delete(s.pledges, i, i+1)
		if pledged && !a.Missed {
			seed := auditSeed(k.by, k.netuid, k.epoch)
			return k.by, &registryv1.MsgRevealAudit{Account: k.by.Address(), Netuid: k.netuid, Epoch: k.epoch, Seed: seed[:]}
		}
	}
	return nil, nil
}

// audit returns what the chain knows of a pledge, if it took it.
func (s *Storm) audit(k pledge) (registryv1.Audit, bool) {
	r := &registryv1.QueryAuditsResponse{}
	if err := s.Query("/plexus.registry.v1.Query/Audits", &registryv1.QueryAuditsRequest{Netuid: k.netuid, Account: k.by.Address()}, r); err != nil {
		return registryv1.Audit{}, false
	}
	i := slices.IndexFunc(r.Audits, func(a registryv1.Audit) bool { return a.Epoch == k.epoch })
	if i < 0 {
		return registryv1.Audit{}, false
	}
	return r.Audits[i], true
}

func publishRoot(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	at := s.seat(p)
	root := sha256.Sum256(fmt.Append(nil, s.rng.Uint64()))
	return p, &registryv1.MsgPublishRoot{
		Account: p.Address(), Netuid: at.Netuid, Epoch: at.Epoch + s.rng.Uint64N(2), Root: root[:], Count: s.rng.Uint64N(100),
	}
}

// reportFraud accuses somebody of not running a model that may be registered.
func reportFraud(s *Storm) (*Person, sdk.Msg) {
	at, p, miner := s.bench()
	manifest := sha256.Sum256(s.manifest())
	return p, &registryv1.MsgReportFraud{
		Account: p.Address(), Netuid: at.Netuid, Miner: miner.Address(), Manifest: manifest[:],
		Bundle: fmt.Appendf(nil, "evidence %d", s.rng.IntN(500)),
	}
}

// voteFraud votes on an open case, mostly as the others do.
func voteFraud(s *Storm) (*Person, sdk.Msg) {
	at, p, _ := s.bench()
	r := &registryv1.QueryCasesResponse{}
	if err := s.Query("/plexus.registry.v1.Query/Cases", &registryv1.QueryCasesRequest{}, r); err != nil {
		return p, nil
	}
	for _, c := range r.Cases {
		if c.Verdict == registryv1.Verdict_VERDICT_OPEN && (c.Netuid == at.Netuid || s.one(20)) {
			return p, &registryv1.MsgVoteFraud{Account: p.Address(), Case: c.Id, Guilty: (c.Id%3 != 0) != s.one(10)}
		}
	}
	return p, nil
}
