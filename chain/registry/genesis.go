package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
)

// maxSpan bounds the parameters, in blocks: a year of blocks of one second.
const maxSpan = 365 * 24 * 3600

// DefaultParams let a case be voted on for a day of blocks of six seconds, and
// keep it for a week.
func DefaultParams() registryv1.Params {
	return registryv1.Params{VotingPeriod: 14_400, CaseRetention: 100_800, ReportInterval: 10}
}

// DefaultGenesis is empty.
func DefaultGenesis() *registryv1.GenesisState {
	return &registryv1.GenesisState{Params: DefaultParams()}
}

// validateParams tells what is wrong with parameters, if anything.
func validateParams(p registryv1.Params) error {
	for _, s := range []struct {
		name   string
		blocks uint64
	}{{"voting_period", p.VotingPeriod}, {"case_retention", p.CaseRetention}, {"report_interval", p.ReportInterval}} {
		if s.blocks < 1 || s.blocks > maxSpan {
			return fmt.Errorf("%s is %d blocks; it must be 1 to %d", s.name, s.blocks, maxSpan)
		}
	}
	return nil
}

// ValidateGenesis tells what is wrong with a genesis state, if anything.
func ValidateGenesis(g *registryv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	for _, m := range g.Manifests {
		if err := checkManifest(m.Body); err != nil {
			return fmt.Errorf("manifest %x: %w", m.Hash, err)
		}
		if sum := sha256.Sum256(m.Body); string(sum[:]) != string(m.Hash) {
			return fmt.Errorf("manifest %x has the hash %x", m.Hash, sum)
		}
	}
	for _, a := range g.Audits {
		if len(a.Hash) != sha256.Size || len(a.Seed) > 0 && !same(a.Seed, a.Hash) {
			return fmt.Errorf("audit of %s and epoch %d on subnet %d: hash %x and seed %x do not fit", a.Account, a.Epoch, a.Netuid, a.Hash, a.Seed)
		}
	}
	for _, r := range g.Roots {
		if len(r.Root) != sha256.Size {
			return fmt.Errorf("root of %s and epoch %d on subnet %d has %d bytes; it must have %d", r.Account, r.Epoch, r.Netuid, len(r.Root), sha256.Size)
		}
	}
	for _, c := range g.Cases {
		if c.Id == 0 || c.Id > g.LatestCase {
			return fmt.Errorf("case %d, but the latest is %d", c.Id, g.LatestCase)
		}
		if _, ok := registryv1.Verdict_name[int32(c.Verdict)]; !ok || c.Verdict == registryv1.Verdict_VERDICT_UNSPECIFIED {
			return fmt.Errorf("case %d stands at %v", c.Id, c.Verdict)
		}
	}
	return nil
}

// InitGenesis sets the module's state, after that of the subnets. Queues and
// indices follow from the rest.
func (k *Keeper) InitGenesis(ctx context.Context, g *registryv1.GenesisState) error {
	err := errors.Join(k.params.Set(ctx, g.Params), k.latest.Set(ctx, g.LatestCase))
	for _, m := range g.Manifests {
		err = errors.Join(err, k.initManifest(ctx, m))
	}
	for i := range g.Audits {
		err = errors.Join(err, k.initAudit(ctx, &g.Audits[i]))
	}
	for _, c := range g.Conducts {
		err = errors.Join(err, k.seated(c.Account, func(account []byte) error {
			return k.conducts.Set(ctx, collections.Join(c.Netuid, account), c)
		}))
	}
	for _, r := range g.Roots {
		err = errors.Join(err, k.seated(r.Account, func(account []byte) error {
			return k.roots.Set(ctx, collections.Join3(r.Netuid, account, r.Epoch), r)
		}))
	}
	for i := range g.Cases {
		err = errors.Join(err, k.file(ctx, &g.Cases[i]))
	}
	for _, v := range g.Votes {
		err = errors.Join(err, k.seated(v.Account, func(account []byte) error {
			return k.votes.Set(ctx, collections.Join(v.Case, account), v)
		}))
	}
	return errors.Join(err, k.Check(ctx))
}

// seated calls f with the bytes of an address.
func (k *Keeper) seated(text string, f func(account []byte) error) error {
	account, err := k.bytes(text)
	if err != nil {
		return err
	}
	return f(account)
}

func (k *Keeper) initManifest(ctx context.Context, m registryv1.Manifest) error {
	account, err := k.bytes(m.Account)
	if err != nil {
		return err
	}
	return errors.Join(k.declare(ctx, account), k.manifests.Set(ctx, m.Hash, m))
}

func (k *Keeper) initAudit(ctx context.Context, a *registryv1.Audit) error {
	account, err := k.bytes(a.Account)
	if err != nil {
		return err
	}
	at := collections.Join3(a.Netuid, []byte(account), a.Epoch)
	return errors.Join(k.audits.Set(ctx, at, *a), k.duties.Set(ctx, collections.Join(dueAt(a), at)))
}

// ExportGenesis returns the module's state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*registryv1.GenesisState, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := k.latest.Peek(ctx)
	g := &registryv1.GenesisState{Params: params, LatestCase: latest}
	return g, errors.Join(err,
		gather(ctx, k.manifests, &g.Manifests),
		gather(ctx, k.audits, &g.Audits),
		gather(ctx, k.conducts, &g.Conducts),
		gather(ctx, k.roots, &g.Roots),
		gather(ctx, k.cases, &g.Cases),
		gather(ctx, k.votes, &g.Votes),
	)
}

// gather appends all values of a map.
func gather[K, V any](ctx context.Context, m collections.Map[K, V], into *[]V) error {
	return m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		*into = append(*into, v)
		return false, nil
	})
}

// Check returns an error if the state contradicts itself: every audit and case
// is queued once, for when it says it is; the index of open cases holds these
// and no others; counts are what they count, and within their bounds.
func (k *Keeper) Check(ctx context.Context) error {
	return errors.Join(k.checkAudits(ctx), k.checkCases(ctx), k.checkRoots(ctx), k.checkManifests(ctx))
}

func (k *Keeper) checkAudits(ctx context.Context) error {
	audits := 0
	err := k.audits.Walk(ctx, nil, func(at term, a registryv1.Audit) (bool, error) {
		audits++
		queued, err := k.duties.Has(ctx, collections.Join(dueAt(&a), at))
		if err == nil && !queued {
			err = fmt.Errorf("the audit of %s and epoch %d on subnet %d is not queued for height %d", a.Account, a.Epoch, a.Netuid, dueAt(&a))
		}
		return false, err
	})
	queue, more := count(ctx, collections.Map[collections.Pair[uint64, term], collections.NoValue](k.duties))
	if err == nil && queue != audits {
		err = fmt.Errorf("%d audits, but %d are queued", audits, queue)
	}
	return errors.Join(err, more)
}

func (k *Keeper) checkCases(ctx context.Context) error {
	cases, open := 0, 0
	err := k.cases.Walk(ctx, nil, func(id uint64, c registryv1.Case) (bool, error) {
		cases++
		queued, err := k.docket.Has(ctx, collections.Join(heardAt(&c), id))
		if err != nil || !queued || id != c.Id {
			return true, fmt.Errorf("case %d stands at %d and is not queued for height %d: %w", c.Id, id, heardAt(&c), err)
		}
		if c.Verdict != registryv1.Verdict_VERDICT_OPEN {
			return false, nil
		}
		open++
		return false, k.seated(c.Miner, func(miner []byte) error {
			if got, err := k.open.Get(ctx, collections.Join(c.Netuid, miner)); err != nil || got != id {
				return fmt.Errorf("case %d against %s is open, but the index has %d: %w", id, c.Miner, got, err)
			}
			return nil
		})
	})
	queue, e1 := count(ctx, collections.Map[collections.Pair[uint64, uint64], collections.NoValue](k.docket))
	index, e2 := count(ctx, k.open)
	proofs, e3 := count(ctx, k.bundles)
	if err == nil && (queue != cases || proofs != cases || index != open) {
		err = fmt.Errorf("%d cases of which %d are open, but %d are queued, %d bundles are known and %d are in the index", cases, open, queue, proofs, index)
	}
	return errors.Join(err, e1, e2, e3, k.votes.Walk(ctx, nil, func(at ballot, _ registryv1.Vote) (bool, error) {
		has, err := k.cases.Has(ctx, at.K1())
		if err == nil && !has {
			err = fmt.Errorf("a vote on case %d, which is gone", at.K1())
		}
		return false, err
	}))
}

func (k *Keeper) checkRoots(ctx context.Context) error {
	left := 0
	err := k.conducts.Walk(ctx, nil, func(at seat, c registryv1.Conduct) (bool, error) {
		if c.Roots > maxRoots || c.Revealed+c.Missed > c.Committed {
			return true, fmt.Errorf("conduct of %s on subnet %d: %d roots of at most %d, %d audits of which %d were shown and %d missed",
				c.Account, c.Netuid, c.Roots, maxRoots, c.Committed, c.Revealed, c.Missed)
		}
		left += int(c.Roots)
		return false, nil
	})
	roots, more := count(ctx, k.roots)
	if err == nil && roots != left {
		err = fmt.Errorf("%d roots, but %d are counted", roots, left)
	}
	return errors.Join(err, more)
}

func (k *Keeper) checkManifests(ctx context.Context) error {
	counted := uint64(0)
	err := k.declared.Walk(ctx, nil, func(_ []byte, n uint64) (bool, error) {
		counted += n
		return false, nil
	})
	manifests, more := count(ctx, k.manifests)
	if err == nil && uint64(manifests) != counted {
		err = fmt.Errorf("%d manifests, but %d are counted", manifests, counted)
	}
	return errors.Join(err, more)
}

// count returns the number of entries of a map.
func count[K, V any](ctx context.Context, m collections.Map[K, V]) (n int, err error) {
	err = m.Walk(ctx, nil, func(K, V) (bool, error) {
		n++
		return false, nil
	})
	return n, err
}
