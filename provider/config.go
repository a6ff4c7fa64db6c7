package provider

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/alert"
	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/price"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// Config is what an operator decides, in the file provider.json of a
// provider's folder.
type Config struct {
	Key        string            `json:"key"`      // that signs, by its name in the keyring
	HostURI    string            `json:"host_uri"` // of the API, as tenants reach it
	Listen     string            `json:"listen"`   // address of the API
	Ingress    string            `json:"ingress"`  // address for tenants' HTTP services
	Domain     string            `json:"domain"`   // their names end in it: a DNS entry *.domain leads here
	IngressURL string            `json:"ingress_url,omitempty"`
	IngressTLS string            `json:"ingress_tls,omitempty"`     // address for the same over HTTPS
	TLSFile    string            `json:"tls_certificate,omitempty"` // of names below Domain; read again when it changes
	TLSKey     string            `json:"tls_key,omitempty"`
	ACME       ACME              `json:"acme,omitzero"` // certificates for names that tenants bring
	Redirect   bool              `json:"redirect,omitempty"`
	Proxies    []netip.Prefix    `json:"ingress_trusted_proxies,omitempty"` // that are believed who asks
	PerAddress int               `json:"ingress_per_address,omitempty"`     // connections at a time; 0 means 256
	PerLease   int               `json:"ingress_per_lease,omitempty"`       // requests at a time; 0 means 2,048
	Ports      [2]uint16         `json:"ports"`                             // first and last that tenants may publish
	Attributes market.Attributes `json:"attributes"`

	Engine  string           `json:"engine"` // gvisor, runc or kubernetes
	Cluster *Cluster         `json:"kubernetes,omitempty"`
	CPU     int64            `json:"cpu"`     // for sale, in thousandths of a core
	Memory  int64            `json:"memory"`  // for sale, in bytes
	Storage int64            `json:"storage"` // for sale, in bytes
	Classes map[string]Class `json:"classes,omitempty"`
	GPUs    []gpu.Device     `json:"gpus,omitempty"`                   // for sale, as "0=nvidia/h100/80Gi/sxm"
	Unknown bool             `json:"gpu_unsupported_driver,omitempty"` // go on with a driver that the sandbox does not know
	IPPool  []netip.Prefix   `json:"ip_pool,omitempty"`                // public addresses for lease, every one of them
	IPLink  string           `json:"ip_interface,omitempty"`           // that takes them on
	IPOut   bool             `json:"ip_outgoing,omitempty"`            // what a lease sends comes from its address
	Private bool             `json:"private_registries,omitempty"`     // images may come from private addresses, over plain HTTP

	Webhooks []alert.Hook `json:"webhooks,omitempty"` // that are told what an operator should know

	Prices      price.Scale `json:"prices"`
	PriceScript []string    `json:"price_script,omitempty"` // in place of prices: a program and its arguments
}

// A Class is a kind of disk that volumes may lie on: a folder of this machine,
// or a StorageClass of a cluster.
type Class struct {
	Dir          string `json:"dir,omitempty"`
	StorageClass string `json:"storage_class,omitempty"`
	Size         int64  `json:"size"` // for sale, in bytes
}

// A Cluster is the Kubernetes cluster that runs containers.
type Cluster struct {
	Kubeconfig   string         `json:"kubeconfig,omitempty"` // file; "" means the cluster that the provider is a pod of
	Context      string         `json:"context,omitempty"`    // of the file; "" means its current one
	RuntimeClass string         `json:"runtime_class"`
	Namespace    string         `json:"namespace,omitempty"`    // of the provider's own pod, whose ingress reaches tenants
	From         []netip.Prefix `json:"ingress_from,omitempty"` // networks whose ingress reaches tenants
}

// Capacity is all that is for sale.
func (c Config) Capacity() inventory.Amounts {
	a := inventory.Amounts{CPU: c.CPU, Memory: c.Memory, Storage: map[string]int64{"": c.Storage}}
	for name, class := range c.Classes {
		a.Storage[name] = class.Size
	}
	for _, p := range c.IPPool {
		a.IPs += 1 << (32 - p.Bits())
	}
	for _, d := range c.GPUs {
		if a.GPUs == nil {
			a.GPUs = map[string]int64{}
		}
		a.GPU++
		a.GPUs[kind(d.GPU).Key()]++
	}
	return a
}

// Devices are the graphics processors for sale.
func (c Config) Devices() []sandbox.GPU {
	var all []sandbox.GPU
	for _, d := range c.GPUs {
		all = append(all, d.GPU)
	}
	return all
}

// Capabilities are the attributes that say which graphics processors are for
// sale, in all the words by which tenants ask for them.
func (c Config) Capabilities() market.Attributes {
	var all market.Attributes
	for _, d := range c.GPUs {
		for _, key := range kind(d.GPU).Keys() {
			if _, has := all.Get("capabilities/gpu/" + key); !has {
				all = append(all, market.Attribute{Key: "capabilities/gpu/" + key, Value: "true"})
			}
		}
	}
	all.Sort()
	return all
}

const configFile = "provider.json"

// ReadConfig returns the configuration in a provider's folder, or an error
// that wraps [fs.ErrNotExist].
func ReadConfig(dir string) (Config, error) {
	file := filepath.Join(dir, configFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return Config{}, err
	}
	var c Config
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w; repair or delete it", file, err)
	}
	return c, nil
}

// Write makes c the configuration in a provider's folder, whole or not at all.
func (c Config) Write(dir string) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return lease.WriteFile(filepath.Join(dir, configFile), append(text, '\n'))
}

// Certificate returns the certificate of a provider's API and the SHA-256 of
// its key, which is to stand on the chain. It is made the first time, and
// signed by itself: the chain vouches for it.
func Certificate(dir string) (tls.Certificate, []byte, error) {
	file := filepath.Join(dir, "api.pem")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = certificate(); err == nil {
			err = errors.Join(os.MkdirAll(dir, 0o700), lease.WriteFile(file, text))
		}
	}
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return c, nil, fmt.Errorf("%s: %w; delete it to have another made, and register again", file, err)
	}
	pin := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	return c, pin[:], nil
}

// certificate makes a key and a certificate for it, in PEM.
func certificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "plexus provider"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(20, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), nil
}
