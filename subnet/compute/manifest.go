package compute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/plexus-network/plexus/market"
)

// maxManifest bounds the bytes of a manifest.
const maxManifest = 16 << 10

// Manifest is what a subnet's owner declares on chain: what a probe asks for
// and what it should deliver. It is the subnet's kind parameters, as JSON. All
// fields but Image and MaxPrice have the defaults stated here.
type Manifest struct {
	// Image is that of the program subnet/compute/probe, by digest. It may be
	// empty; then every validator names its own.
	Image string `json:"image,omitempty"`

	CPU     int    `json:"cpu_milli,omitempty"`   // thousandths of a core of a probe; 100 to 64,000; 1,000
	Memory  int    `json:"memory_mib,omitempty"`  // 64 to 65,536; 512
	Storage int    `json:"storage_mib,omitempty"` // 64 to 1,048,576; 1,024
	Volume  int    `json:"volume_mib,omitempty"`  // of a persistent volume beside it, 64 to 1,048,576; 0 means none
	Class   string `json:"class,omitempty"`       // of the volume: default, beta1, beta2 or beta3; "default"

	// What a provider is measured against; more than that earns nothing.
	Hashes int `json:"hashes_per_core,omitempty"` // SHA-256 in a chain per second and core, 1,000 to 10⁹; 4,000,000
	Disk   int `json:"disk_mb_s,omitempty"`       // written and synchronized, 1 to 100,000; 100
	Net    int `json:"net_mbit_s,omitempty"`      // each way, 1 to 100,000; 100
	Start  int `json:"start_s,omitempty"`         // seconds from the lease to the first answer, 1 to 3,600; 30

	Every int `json:"every_s,omitempty"` // seconds between probes of one provider, on average; 60 to 604,800; 3,600
	Keep  int `json:"keep_s,omitempty"`  // seconds that a probe's lease is kept, and visited; 10 to half of every_s; 600
	Most  int `json:"most,omitempty"`    // services of one probe, which grow while a provider delivers; 1 to 20; 8
	Full  int `json:"full_milli"`        // thousandths of cores shown by probes that earn the full score; 100 to 10⁶; 4 × cpu_milli

	// MaxPrice is the most that a service of a probe may cost per block, in
	// nplx: the market's own limit of 10,000,000 at most.
	MaxPrice int `json:"max_price_nplx"`
	// Penalty is how long a proven cheat earns nothing, in seconds; 86,400. It
	// doubles each time that it cheats again after that.
	Penalty int `json:"penalty_s,omitempty"`
}

// ParseManifest reads kind parameters and fills the defaults in. The error
// names the field that is wrong.
func ParseManifest(params []byte) (Manifest, error) {
	if len(params) > maxManifest {
		return Manifest{}, fmt.Errorf("compute: a manifest of %d bytes, at most %d are allowed", len(params), maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(params))
	d.DisallowUnknownFields()
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("compute: manifest: %w", err)
	}
	if d.More() {
		return Manifest{}, errors.New("compute: manifest: more than one JSON value")
	}
	m = m.withDefaults()
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("compute: manifest: %w", err)
	}
	return m, nil
}

func (m Manifest) withDefaults() Manifest {
	or := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	or(&m.CPU, 1000)
	or(&m.Memory, 512)
	or(&m.Storage, 1024)
	or(&m.Hashes, 4_000_000)
	or(&m.Disk, 100)
	or(&m.Net, 100)
	or(&m.Start, 30)
	or(&m.Every, 3600)
	or(&m.Keep, min(600, max(m.Every/2, 10)))
	or(&m.Most, 8)
	or(&m.Full, 4*m.CPU)
	or(&m.Penalty, 86_400)
	if m.Class == "" {
		m.Class = "default"
	}
	return m
}

// byDigest is an image's reference that names what it means.
var byDigest = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/-]{0,255}@sha256:[0-9a-f]{64}$`)

// checkImage tells why an image cannot be a probe's.
func checkImage(image string) error {
	if !byDigest.MatchString(image) {
		return fmt.Errorf("image is %.100q, a reference by digest is wanted, as registry.example/probe@sha256:… with 64 hex digits", image)
	}
	return nil
}

func (m Manifest) check() error {
	if m.Image != "" {
		if err := checkImage(m.Image); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name            string
		is, least, most int
	}{
		{"cpu_milli", m.CPU, 100, 64_000},
		{"memory_mib", m.Memory, 64, 65_536},
		{"storage_mib", m.Storage, 64, 1 << 20},
		{"hashes_per_core", m.Hashes, 1000, 1_000_000_000},
		{"disk_mb_s", m.Disk, 1, 100_000},
		{"net_mbit_s", m.Net, 1, 100_000},
		{"start_s", m.Start, 1, 3600},
		{"every_s", m.Every, 60, 604_800},
		{"keep_s", m.Keep, 10, 86_400},
		{"most", m.Most, 1, 20},
		{"full_milli", m.Full, 100, 1_000_000},
		{"max_price_nplx", m.MaxPrice, 1, 10_000_000},
		{"penalty_s", m.Penalty, 1, int((365 * 24 * time.Hour).Seconds())},
	} {
		if f.is < f.least || f.is > f.most {
			return fmt.Errorf("%s is %d, %d to %d are allowed", f.name, f.is, f.least, f.most)
		}
	}
	if 2*m.Keep > m.Every {
		return fmt.Errorf("keep_s is %d, at most half of every_s, %d, is allowed: a provider is not to have two probes at once", m.Keep, m.Every/2)
	}
	if m.Volume != 0 && (m.Volume < 64 || m.Volume > 1<<20) {
		return fmt.Errorf("volume_mib is %d, 0 or 64 to %d are allowed", m.Volume, 1<<20)
	}
	switch m.Class {
	case "default", "beta1", "beta2", "beta3":
	default:
		return fmt.Errorf("class is %.20q, default, beta1, beta2 or beta3 is allowed", m.Class)
	}
	return nil
}

func (m Manifest) cores() float64 { return float64(m.CPU) / 1000 }

func (m Manifest) keep() time.Duration { return time.Duration(m.Keep) * time.Second }

// Life is how long a probe is rented at most.
func (m Manifest) Life() time.Duration { return m.keep() + opening(m) + measuring }

// cost is the most that a lease of so many services may cost over its life,
// with blocks of that length.
func (m Manifest) cost(services int, block time.Duration) market.Amount {
	return market.Amount(services) * market.Amount(m.MaxPrice) * market.Amount(m.Life()/max(block, time.Millisecond)+1)
}
