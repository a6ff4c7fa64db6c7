package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// model is a manifest as a test declares it.
var model = []byte(`{"name":"m1","precision":"q8_0"}`)

// accused is a chain of validators v0, v1, … with the given stakes, whose
// permits are given and whose miners cheat and fair have earned something. The
// model is declared.
func accused(t *testing.T, stakes ...coin.Amount) *bench {
	t.Helper()
	b := newBench(t, len(stakes), []string{"cheat", "fair"}, []string{"late"}, func(o *GenesisOptions) {
		for i, s := range stakes {
			o.Validators[i].Bootstrap = s
		}
		o.RegistryParams = &registryv1.Params{VotingPeriod: 3 * tempo, CaseRetention: 2 * tempo, ReportInterval: 2}
		o.Subnets[0].Hyperparameters.MaxUids = uint32(len(stakes) + 2)
	})
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "cheat", 1, "fair", 1))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	b.until(b.metagraph(1).Subnet.NextEpoch)
	b.must(b.validators[0], &registryv1.MsgRegisterManifest{Account: b.validators[0].String(), Body: model})
	if n := b.neuron("cheat"); n.Claimable == 0 {
		t.Fatal("cheat has earned nothing: there is nothing to lose")
	}
	return b
}

// report returns the message by which p accuses a miner.
func (b *bench) report(p *person, miner, evidence string) *registryv1.MsgReportFraud {
	hash := sha256.Sum256(model)
	return &registryv1.MsgReportFraud{Account: p.String(), Netuid: 1, Miner: b.person(miner).String(), Manifest: hash[:], Bundle: []byte(evidence)}
}

// fraud returns a case and its votes.
func (b *bench) fraud(id uint64) *registryv1.QueryCaseResponse {
	b.t.Helper()
	r := &registryv1.QueryCaseResponse{}
	b.query("/plexus.registry.v1.Query/Case", &registryv1.QueryCaseRequest{Id: id}, r)
	return r
}

// refused returns why a query fails.
func (b *bench) refused(path string, request wire) string {
	b.t.Helper()
	data, err := request.Marshal()
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := b.app.Query(b.t.Context(), &abci.RequestQuery{Path: path, Data: data})
	if err != nil || r.Code == 0 {
		b.t.Fatalf("%s was answered: %v", path, err)
	}
	return r.Log
}

// vote makes a block in which p votes on case 1.
func (b *bench) vote(p *person, guilty bool) string {
	b.t.Helper()
	return b.do(p, &registryv1.MsgVoteFraud{Account: p.String(), Case: 1, Guilty: guilty})
}

func TestTwoThirdsConvict(t *testing.T) {
	b := accused(t, 1000*coin.PLX, 1000*coin.PLX, 1000*coin.PLX)
	b.must(b.validators[0], b.report(b.validators[0], "cheat", "proof"))
	if log := b.vote(b.validators[0], true); log != "" {
		t.Fatal(log)
	}
	if c := b.fraud(1).Case; c.Verdict != registryv1.Verdict_VERDICT_OPEN {
		t.Fatalf("a third of stake decided: %+v", c)
	}
	before, fair, free := b.neuron("cheat"), b.claimable("fair"), b.schedule().State.Unallocated
	uid := b.uid(1, "cheat")
	if log := b.vote(b.validators[1], true); log != "" {
		t.Fatal(log)
	}
	c, n := b.fraud(1).Case, b.neuron("cheat")
	if c.Verdict != registryv1.Verdict_VERDICT_CONVICTED || c.Forfeited != before.Claimable {
		t.Errorf("two thirds said guilty: %+v, want it convicted and %d forfeited", c, before.Claimable)
	}
	if n.Claimable != 0 || n.Incentive != 0 || n.Neuron.Axon.PeerId != "" || n.Neuron.ExpelledAt != b.app.LastBlockHeight() {
		t.Errorf("the convict is %+v", n)
	}
	if got := b.claimable("fair"); got != fair {
		t.Errorf("fair can claim %v, before the verdict %v", got, fair)
	}
	if got := b.schedule().State.Unallocated; got < free+before.Claimable {
		t.Errorf("%d are unallocated, want at least %d and the %d that were forfeited", got, free, before.Claimable)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch) // the weights on it were set before
	if n := b.neuron("cheat"); n.Incentive != 0 || n.Claimable != 0 {
		t.Errorf("the convict earned again by the old weights: %+v", n)
	}
	b.must(b.person("late"), &subnetv1.MsgRegisterNeuron{Account: b.person("late").String(), Netuid: 1, MaxPrice: nplx(10 * coin.PLX)})
	if got := b.uid(1, "late"); got != uid {
		t.Errorf("a full subnet gave uid %d away, want the convict's, %d", got, uid)
	}
	b.roundTrip()
}

func TestLessThanTwoThirdsDoNotConvict(t *testing.T) {
	b := accused(t, 1000*coin.PLX, 1000*coin.PLX, 1000*coin.PLX+1)
	b.must(b.validators[0], b.report(b.validators[0], "cheat", "proof"))
	for _, v := range b.validators[:2] { // 2,000 of 3,000 PLX and one nplx
		if log := b.vote(v, true); log != "" {
			t.Fatal(log)
		}
	}
	c := b.fraud(1).Case
	if c.Verdict != registryv1.Verdict_VERDICT_OPEN || 3*c.Guilty != 2*(c.All-1) {
		t.Fatalf("one nplx less than two thirds: %+v, want it open", c)
	}
	owed := b.claimable("cheat")
	b.until(c.Deadline)
	if c := b.fraud(1).Case; c.Verdict != registryv1.Verdict_VERDICT_LAPSED || c.Ended != c.Deadline {
		t.Errorf("at its deadline: %+v, want it lapsed", c)
	}
	if got := b.claimable("cheat"); got < owed {
		t.Errorf("cheat can claim %v, it could %v before the case lapsed", got, owed)
	}
	if log := b.vote(b.validators[2], true); !strings.Contains(log, "ended at height") {
		t.Errorf("a vote after the deadline: %q", log)
	}
	until := b.fraud(1).Case.Until
	b.roundTrip()
	b.until(until)
	if err := b.refused("/plexus.registry.v1.Query/Case", &registryv1.QueryCaseRequest{Id: 1}); !strings.Contains(err, "there is no case 1") {
		t.Errorf("a case that was kept long enough: %q", err)
	}
}

func TestMoreThanAThirdAcquit(t *testing.T) {
	b := accused(t, 1000*coin.PLX, 1000*coin.PLX, 1000*coin.PLX)
	b.must(b.validators[0], b.report(b.validators[0], "cheat", "proof"))
	for i, guilty := range []bool{true, false} {
		if log := b.vote(b.validators[i], guilty); log != "" {
			t.Fatal(log)
		}
	}
	if c := b.fraud(1).Case; c.Verdict != registryv1.Verdict_VERDICT_OPEN {
		t.Fatalf("a third said innocent: %+v, want it open", c)
	}
	b.vote(b.validators[0], false) // changed its mind
	if r := b.fraud(1); r.Case.Verdict != registryv1.Verdict_VERDICT_ACQUITTED || len(r.Votes) != 2 {
		t.Errorf("two thirds said innocent: %+v, %d votes", r.Case, len(r.Votes))
	}
	if n := b.neuron("cheat"); n.Claimable == 0 || n.Neuron.ExpelledAt != 0 {
		t.Errorf("the acquitted is %+v", n)
	}
	if log := b.do(b.validators[1], b.report(b.validators[1], "cheat", "proof")); !strings.Contains(log, "was the evidence of case 1") {
		t.Errorf("reported again with the same evidence: %q", log)
	}
	if log := b.do(b.validators[1], b.report(b.validators[1], "cheat", "other proof")); log != "" {
		t.Errorf("reported again with other evidence: %q", log)
	}
}

func TestVotesWithoutAPermitDoNotCount(t *testing.T) {
	b := accused(t, 1000*coin.PLX, 1000*coin.PLX, 1000*coin.PLX)
	b.must(b.validators[0], b.report(b.validators[0], "cheat", "proof"))
	if log := b.vote(b.validators[0], true); log != "" {
		t.Fatal(log)
	}
	owner := b.person("owner")
	b.must(owner, &subnetv1.MsgUpdateSubnet{Authority: owner.String(), Netuid: 1, Hyperparameters: `{"max_validators":2}`})
	b.until(b.metagraph(1).Subnet.NextEpoch)
	var in, out *person
	for _, v := range b.validators {
		if b.metagraph(1).Neurons[b.uidOf(v)].Permit {
			in = v
		} else {
			out = v
		}
	}
	if in == nil || out == nil {
		t.Fatal("nobody lost its permit")
	}
	if log := b.vote(out, true); !strings.Contains(log, "has no validator permit") {
		t.Errorf("a vote without a permit: %q", log)
	}
	if log := b.do(b.person("fair"), b.report(b.person("fair"), "cheat", "other")); !strings.Contains(log, "is open already") && !strings.Contains(log, "has no validator permit") {
		t.Errorf("a report without a permit: %q", log)
	}
	b.vote(in, true)
	c := b.fraud(1).Case
	if c.All != uint64(2000*coin.PLX) {
		t.Errorf("%d of stake may vote, want that of two permits", c.All)
	}
	want := c.Guilty*3 >= c.All*2
	if (c.Verdict == registryv1.Verdict_VERDICT_CONVICTED) != want {
		t.Errorf("%+v", c)
	}
}

// uidOf returns the uid of a person on subnet 1.
func (b *bench) uidOf(p *person) uint32 {
	for _, n := range b.metagraph(1).Neurons {
		if n.Neuron.Account == p.String() {
			return n.Neuron.Uid
		}
	}
	b.t.Fatalf("%v has no neuron", p)
	return 0
}

func TestOnlyPayOfThatSubnetIsForfeited(t *testing.T) {
	b := newBench(t, 3, []string{"cheat", "fair"}, nil, func(o *GenesisOptions) {
		o.Subnets = append(o.Subnets, o.Subnets[0])
	})
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "cheat", 1, "fair", 1))
		b.must(v, b.weigh(2, v, "cheat", 1, "fair", 2))
	}
	b.until(3 * tempo)
	b.must(b.validators[0], &registryv1.MsgRegisterManifest{Account: b.validators[0].String(), Body: model})
	b.must(b.validators[0], b.report(b.validators[0], "cheat", "proof"))
	var mined []subnetv1.Earning
	g, err := b.app.Subnets.ExportGenesis(b.ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range g.Earnings {
		if e.Account == b.person("cheat").String() {
			mined = append(mined, e)
		}
	}
	if len(mined) != 2 || mined[0].Amount == 0 || mined[1].Amount == 0 || mined[0].Amount+mined[1].Amount != uint64(b.claimable("cheat")) {
		t.Fatalf("cheat mined %+v and can claim %d", mined, b.claimable("cheat"))
	}
	heir := b.person("heir")
	b.must(b.person("cheat"), &subnetv1.MsgRotate{Account: b.person("cheat").String(), To: heir.String()}) // it runs
	for _, v := range b.validators[:2] {
		if log := b.vote(v, true); log != "" {
			t.Fatal(log)
		}
	}
	c := b.fraud(1).Case
	if c.Verdict != registryv1.Verdict_VERDICT_CONVICTED || c.Forfeited < mined[0].Amount {
		t.Fatalf("%+v, want it convicted and %d or more forfeited", c, mined[0].Amount)
	}
	if got := b.claimable("heir"); uint64(got) < mined[1].Amount {
		t.Errorf("the heir can claim %v, want what was mined on the other subnet, %d", got, mined[1].Amount)
	}
	if n := b.metagraph(1).Neurons[b.uid(1, "heir")]; n.Neuron.ExpelledAt == 0 {
		t.Errorf("a rotation saved the convict: %+v", n)
	}
	if n := b.metagraph(2).Neurons[b.uid(2, "heir")]; n.Neuron.ExpelledAt != 0 {
		t.Errorf("it was expelled from another subnet too: %+v", n)
	}
}

func TestReportsAreBounded(t *testing.T) {
	b := accused(t, 1000*coin.PLX, 1000*coin.PLX)
	v := b.validators[0]
	for _, c := range []struct {
		change func(*registryv1.MsgReportFraud)
		want   string
	}{
		{func(m *registryv1.MsgReportFraud) { m.Bundle = nil }, "a bundle of 0 bytes"},
		{func(m *registryv1.MsgReportFraud) { m.Bundle = make([]byte, 128<<10+1) }, "a bundle of 131073 bytes; it must have 1 to 131072"},
		{func(m *registryv1.MsgReportFraud) { m.Manifest = m.Manifest[1:] }, "hash of the manifest of 31 bytes"},
		{func(m *registryv1.MsgReportFraud) { m.Manifest = make([]byte, 32) }, "there is no manifest 0000"},
		{func(m *registryv1.MsgReportFraud) { m.Miner = "plx1" }, "plx1"},
		{func(m *registryv1.MsgReportFraud) { m.Miner = b.person("late").String() }, "has no neuron on subnet 1"},
		{func(m *registryv1.MsgReportFraud) { m.Netuid = 9 }, "there is no subnet 9"},
	} {
		m := b.report(v, "cheat", "proof")
		c.change(m)
		if log := b.do(v, m); !strings.Contains(log, c.want) {
			t.Errorf("refused by %q, want %q", log, c.want)
		}
	}
	whole := b.report(v, "cheat", string(make([]byte, 128<<10)))
	b.must(v, whole)
	if c := b.fraud(1).Case; c.BundleSize != 128<<10 {
		t.Errorf("%+v", c)
	}
	if log := b.do(v, b.report(v, "fair", "more")); !strings.Contains(log, "at most once in 2 blocks on a subnet: wait 1") {
		t.Errorf("two reports in a row: %q", log)
	}
	if log := b.do(v, b.report(v, "cheat", "more")); !strings.Contains(log, "case 1 against") {
		t.Errorf("two cases against one miner: %q", log)
	}
	if log := b.do(v, &registryv1.MsgVoteFraud{Account: v.String(), Case: 7}); !strings.Contains(log, "there is no case 7") {
		t.Errorf("a vote on no case: %q", log)
	}
}

func TestManifests(t *testing.T) {
	b := newBench(t, 1, nil, []string{"rich"}, nil)
	p := b.person("rich")
	for _, c := range []struct{ body, want string }{
		{"", "a manifest of 0 bytes"},
		{"{\"a\":\"" + strings.Repeat("x", 16<<10) + "\"}", "a manifest of 16392 bytes; it must have 1 to 16384"},
		{"[]", "not one JSON object"},
		{"{} {}", "not one JSON object"},
		{"{\"a\":\"\xff\"}", "not UTF-8"},
		{"\ufeff{}", "not one JSON object"},
	} {
		if log := b.do(p, &registryv1.MsgRegisterManifest{Account: p.String(), Body: []byte(c.body)}); !strings.Contains(log, c.want) {
			t.Errorf("%.20q refused by %q, want %q", c.body, log, c.want)
		}
	}
	for range 2 { // the second does nothing
		b.must(p, &registryv1.MsgRegisterManifest{Account: p.String(), Body: model})
	}
	hash := sha256.Sum256(model)
	r := &registryv1.QueryManifestResponse{}
	b.query("/plexus.registry.v1.Query/Manifest", &registryv1.QueryManifestRequest{Hash: fmt.Sprintf("%x", hash)}, r)
	if !bytes.Equal(r.Manifest.Body, model) {
		t.Errorf("kept %s, want %s", r.Manifest.Body, model)
	}
	var txs [][]byte
	for i := range 64 { // one is there already
		txs = append(txs, b.tx(p, 0, &registryv1.MsgRegisterManifest{Account: p.String(), Body: fmt.Appendf(nil, `{"n":%d}`, i)}))
		p.sequence = b.sequence(p) + uint64(i) + 1
	}
	results := b.block(txs...).TxResults
	if log := results[62].Log; results[62].Code != 0 {
		t.Errorf("the 64th manifest: %s", log)
	}
	if log := results[63].Log; !strings.Contains(log, "has registered 64 manifests already") {
		t.Errorf("the 65th manifest: %q", log)
	}
}

// sequence returns the sequence of p in the committed state.
func (b *bench) sequence(p *person) uint64 {
	return b.app.Accounts.GetAccount(b.ctx(), p.address()).GetSequence()
}

// auditHash is the commitment to the seed SHA-256("secret"): the same constant
// stands in the tests of subnet/text, which makes commitments.
const auditHash = "d05db71c534741c9ad163501c9c7fb7c45082c56b46650a65b980ca5cf0b5fae"

func TestAuditsAreShownInTime(t *testing.T) {
	b := accused(t, 1000*coin.PLX)
	v := b.validators[0]
	seed := sha256.Sum256([]byte("secret"))
	hash, err := hex.DecodeString(auditHash)
	if err != nil {
		t.Fatal(err)
	}
	epoch := uint64(b.app.LastBlockHeight()+1) / tempo
	commit := func(epoch uint64) *registryv1.MsgCommitAudit {
		return &registryv1.MsgCommitAudit{Account: v.String(), Netuid: 1, Epoch: epoch, Hash: hash}
	}
	show := func(epoch uint64, seed []byte) *registryv1.MsgRevealAudit {
		return &registryv1.MsgRevealAudit{Account: v.String(), Netuid: 1, Epoch: epoch, Seed: seed}
	}
	b.must(v, commit(epoch+1))
	b.must(v, commit(epoch+2))
	for _, c := range []struct {
		log, want string
	}{
		{b.do(v, commit(epoch+1)), "is committed to already"},
		{b.do(v, commit(epoch-1)), "commit to that or to one of the next 4"},
		{b.do(v, commit(epoch+6)), "commit to that or to one of the next 4"},
		{b.do(v, show(epoch+1, seed[:])), "would tell miners what is checked"},
		{b.do(v, show(epoch+3, seed[:])), "there is no commitment of"},
		{b.do(v, show(epoch+1, seed[1:])), "seed of 31 bytes; it must have 32"},
		{b.do(b.person("fair"), &registryv1.MsgCommitAudit{Account: b.person("fair").String(), Netuid: 1, Epoch: epoch + 1, Hash: hash}), "has no validator permit"},
	} {
		if !strings.Contains(c.log, c.want) {
			t.Errorf("refused by %q, want %q", c.log, c.want)
		}
	}
	b.until(int64(epoch+2)*tempo - 1)
	if log := b.do(v, show(epoch+1, hash)); !strings.Contains(log, "not the seed that was committed to") {
		t.Errorf("another seed: %q", log)
	}
	b.must(v, show(epoch+1, seed[:]))
	if log := b.do(v, show(epoch+1, seed[:])); !strings.Contains(log, "shown already") {
		t.Errorf("shown twice: %q", log)
	}
	b.roundTrip()
	b.until(int64(epoch+5) * tempo)
	if log := b.do(v, show(epoch+2, seed[:])); !strings.Contains(log, "was due before height") {
		t.Errorf("shown too late: %q", log)
	}
	r := &registryv1.QueryConductResponse{}
	b.query("/plexus.registry.v1.Query/Conduct", &registryv1.QueryConductRequest{Netuid: 1, Account: v.String()}, r)
	if c := r.Conduct; c.Committed != 2 || c.Revealed != 1 || c.Missed != 1 {
		t.Errorf("conduct %+v, want 1 of 2 audits shown and 1 missed", c)
	}
	b.until(int64(epoch+2+65)*tempo - 1)
	all := &registryv1.QueryAuditsResponse{}
	b.query("/plexus.registry.v1.Query/Audits", &registryv1.QueryAuditsRequest{Netuid: 1, Account: v.String()}, all)
	if len(all.Audits) != 1 || all.Audits[0].Epoch != epoch+2 {
		t.Errorf("after 64 epochs there are %v, want the later one", all.Audits)
	}
}

func TestRoots(t *testing.T) {
	b := newBench(t, 1, []string{"m"}, nil, nil)
	v := b.validators[0]
	publish := func(epoch uint64) *registryv1.MsgPublishRoot {
		root := sha256.Sum256(fmt.Append(nil, epoch))
		return &registryv1.MsgPublishRoot{Account: v.String(), Netuid: 1, Epoch: epoch, Root: root[:], Count: 5}
	}
	b.must(v, publish(0))
	for _, c := range []struct {
		change func(*registryv1.MsgPublishRoot)
		want   string
	}{
		{func(m *registryv1.MsgPublishRoot) { m.Epoch = 0 }, "that of epoch 0 is published already"},
		{func(m *registryv1.MsgPublishRoot) { m.Root = nil }, "root of 0 bytes; it must have 32"},
		{func(m *registryv1.MsgPublishRoot) { m.Count = 0 }, "a root of 0 receipts"},
		{func(m *registryv1.MsgPublishRoot) { m.Netuid = 5 }, "there is no subnet 5"},
	} {
		m := publish(1)
		c.change(m)
		if log := b.do(v, m); !strings.Contains(log, c.want) {
			t.Errorf("refused by %q, want %q", log, c.want)
		}
	}
	b.unchecked = true
	for at := uint64(1); at <= 1040; at += 8 {
		var txs [][]byte
		for i := range uint64(8) {
			txs = append(txs, b.tx(v, 0, publish(at+i)))
			v.sequence = b.sequence(v) + i + 1
		}
		for _, r := range b.block(txs...).TxResults {
			if r.Code != 0 {
				t.Fatal(r.Log)
			}
		}
	}
	if err := b.app.Check(b.ctx()); err != nil {
		t.Error(err)
	}
	r := &registryv1.QueryRootResponse{}
	b.query("/plexus.registry.v1.Query/Root", &registryv1.QueryRootRequest{Netuid: 1, Account: v.String(), Epoch: 1040}, r)
	if r.Root.Count != 5 || len(r.Root.Root) != 32 {
		t.Errorf("root %+v", r.Root)
	}
	b.query("/plexus.registry.v1.Query/Root", &registryv1.QueryRootRequest{Netuid: 1, Account: v.String(), Epoch: 17}, r)
	if err := b.refused("/plexus.registry.v1.Query/Root", &registryv1.QueryRootRequest{Netuid: 1, Account: v.String(), Epoch: 16}); !strings.Contains(err, "older than the latest 1024") {
		t.Errorf("the 1,025th root from the end: %q", err)
	}
}
