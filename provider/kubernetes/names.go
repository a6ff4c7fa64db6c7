package kubernetes

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// manager is the field manager of all that the engine applies.
const manager = "plexus"

// The labels and annotations of its objects.
const (
	labelManager  = "app.kubernetes.io/managed-by"
	labelProvider = "plexus.network/provider"
	labelOwner    = "plexus.network/owner" // this and dseq if the lease's name is a bid's
	labelDSeq     = "plexus.network/dseq"
	labelService  = "plexus.network/service"
	labelReplica  = "plexus.network/replica"

	annotationLease    = "plexus.network/lease"    // its whole name
	annotationWorkload = "plexus.network/workload" // a hash of what runs
	annotationStopped  = "plexus.network/stopped"  // Stop ended it
)

var (
	isLabel   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	isService = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	letters   = base32.HexEncoding.WithPadding(base32.NoPadding)
)

// digest is a short name for text: base32hex of its SHA-224.
func digest(text string) string {
	sum := sha256.Sum224([]byte(text))
	return strings.ToLower(letters.EncodeToString(sum[:]))
}

// namespace is the name of a lease's, the same for as long as the lease is.
func namespace(l sandbox.Lease) string { return "plexus-" + digest(string(l)) }

// replica names a replica: its host name, and what its objects' names begin
// with. A host name has 63 bytes at most.
func replica(id sandbox.ID) string {
	name := id.Service + "-" + strconv.Itoa(id.Replica)
	if len(name) > 63 {
		return id.Service[:40] + "-" + digest(name)[:12] + "-" + strconv.Itoa(id.Replica)
	}
	return name
}

// recordName is that of a replica's ConfigMap. Services are DNS labels, so the
// point separates.
func recordName(id sandbox.ID) string { return fmt.Sprintf("%s.%d", id.Service, id.Replica) }

func claimName(id sandbox.ID, v sandbox.Volume) string { return recordName(id) + "." + v.Name }

func pullName(id sandbox.ID) string { return id.Service + ".pull" }

// published names what lets the world in to a replica. A tenant that gave a
// service this name would meet itself alone.
func published(id sandbox.ID) string { return "public-" + digest(recordName(id))[:16] }

// run names a new pod of a replica.
func run(id sandbox.ID) string {
	var random [5]byte
	_, _ = rand.Read(random[:]) // never fails
	return replica(id) + "-" + strings.ToLower(letters.EncodeToString(random[:]))
}

// hash tells workloads apart.
func hash(w sandbox.Workload) (string, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// ours are the labels by which the engine finds its objects.
func (e *Engine) ours() map[string]string {
	return map[string]string{labelManager: manager, labelProvider: e.o.Provider}
}

// labels are those of a lease's objects.
func (e *Engine) labels(l sandbox.Lease) map[string]string {
	all := e.ours()
	if id, err := market.ParseBidID(string(l)); err == nil && isLabel.MatchString(id.Owner) {
		all[labelOwner], all[labelDSeq] = id.Owner, strconv.FormatUint(id.DSeq, 10)
	}
	return all
}

// labelsOf are those of a replica's objects.
func (e *Engine) labelsOf(id sandbox.ID) map[string]string {
	all := e.labels(id.Lease)
	maps.Copy(all, selects(id))
	return all
}

// selects are the labels that only one replica of a lease has.
func selects(id sandbox.ID) map[string]string {
	return map[string]string{labelService: id.Service, labelReplica: strconv.Itoa(id.Replica)}
}

// selector formats labels for a list.
func selector(all map[string]string) string { return labels.SelectorFromSet(all).String() }
