package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider"
	"github.com/plexus-network/plexus/provider/price"
)

// initCmd returns the command that decides what this machine sells.
func (s *seller) initCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Decide what this machine sells, and register it on the chain",
		Long: `Init measures this machine, writes what it sells and for how much into
provider/provider.json below the home folder, and registers the provider with its
address, the key of its certificate and a deposit, which it loses in part if it
is proven not to deliver. Done again, it changes both; flags that are not given
again fall back to their defaults.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.hint(s.init(cmd)) },
	}
	f := cmd.Flags()
	f.StringVar(&s.from, "from", "", "name of the provider's key (default from home)")
	f.StringVar(&s.c.HostURI, "host-uri", "", "where tenants reach the API, as https://compute.example.com:8443")
	f.StringVar(&s.c.Listen, "listen", "0.0.0.0:8443", "address on which the API listens")
	f.StringVar(&s.c.Ingress, "ingress", "0.0.0.0:80", "address on which tenants' HTTP services are reached")
	f.StringVar(&s.c.Domain, "domain", "", "names of tenants' services end in it (default the host of --host-uri)")
	f.StringVar(&s.c.IngressURL, "ingress-url", "", "how their URLs look, with %s for the name, if a proxy stands before the ingress")
	s.ingressFlags(cmd)
	s.webhookFlags(cmd)
	f.StringVar(&s.c.Engine, "engine", "gvisor", "what runs containers: gvisor, runc or kubernetes")
	s.cluster.flags(f)
	f.Int64Var(&s.c.CPU, "cpu", 0, "thousandths of a core for sale (default all)")
	f.Var(&byteValue{&s.c.Memory}, "memory", "memory for sale, as 6Gi (default nine tenths)")
	f.Var(&byteValue{&s.c.Storage}, "storage", "disk for sale, as 100Gi (default four fifths of what is free)")
	f.StringArrayVar(&s.classes, "class", nil, "a further class of volumes, as beta3=/mnt/nvme:500Gi, or of a cluster beta3=STORAGECLASS:500Gi; again for each")
	f.StringArrayVar(&s.gpus, "gpu", nil, "a graphics processor for sale, as 0=nvidia/h100/80Gi/sxm, again for each; or none (default all that this machine has)")
	f.BoolVar(&s.c.Unknown, "gpu-unsupported-driver", false, "go on with a graphics driver that the sandbox does not know")
	f.StringSliceVar(&s.pool, "ip-pool", nil, "public addresses that tenants can lease, every one of them, as 203.0.113.16/28,203.0.113.40/32")
	f.StringVar(&s.c.IPLink, "ip-interface", "", "the device that faces the internet, as eth0, which takes on leased addresses")
	f.BoolVar(&s.c.IPOut, "ip-outgoing", false, "let what a lease sends come from its leased address")
	f.StringArrayVar(&s.attrs, "attribute", nil, "what is true of this machine, as region=eu-west; again for each")
	f.StringSliceVar(&s.prices, "price", nil, "nplx per block, as cpu=1,memory=0.5,storage=0.05,endpoint=10,ip=1000,gpu=20000,gpu:h100=40000: of a thousandth of a core, MiB, MiB, way in, leased address, GPU, GPU of a model")
	f.StringArrayVar(&s.c.PriceScript, "price-script", nil, "program that prices orders, in place of --price; again for each argument")
	f.BoolVar(&s.c.Private, "private-registries", false, "let images come from private addresses and over plain HTTP")
	f.Var(&s.deposit, "deposit", "what the provider can be slashed of (default the least that the chain takes)")
	f.BoolVar(&s.offline, "offline", false, "write the configuration without registering")
	_ = cmd.MarkFlagRequired("host-uri") // the flag is there
	return cmd
}

func (s *seller) init(cmd *cobra.Command) error {
	ring, err := s.keys(cmd)
	if err != nil {
		return err
	}
	if s.c.Key = s.from; s.c.Key == "" {
		s.c.Key = s.config.Key
	}
	if s.c.Key == "" {
		return errors.New("who is the provider? Name its key with --from; plexus keys list shows them")
	}
	key, err := ring.Key(s.c.Key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir(), 0o700); err != nil {
		return err
	}
	if err := s.decide(cmd.Context(), key.Address()); err != nil {
		return err
	}
	_, pin, err := provider.Certificate(s.dir())
	if err != nil {
		return err
	}
	if err := s.c.Write(s.dir()); err != nil {
		return err
	}
	done := "It is not registered on the chain yet.\n"
	if !s.offline {
		if done, err = s.register(cmd.Context(), ledger.Actor{Key: key}, pin); err != nil {
			return err
		}
	}
	if asJSON(cmd) {
		return printJSON(cmd, map[string]any{"provider": key.Address(), "config": s.c, "registered": !s.offline})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s sells %s, %s of memory and %s of disk at %s.\n%splexus provider run starts it; %s holds what it sells and for how much.\n",
		key.Address(), coreCount(uint64(s.c.CPU)), bytesize(uint64(s.c.Memory)), bytesize(uint64(s.c.Storage)), s.c.HostURI,
		done, filepath.Join(s.dir(), "provider.json"))
	return nil
}

// decide fills in the configuration from flags and the machine, or the cluster.
func (s *seller) decide(ctx context.Context, account string) error {
	u, err := url.Parse(s.c.HostURI)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("--host-uri %q: want https, a host and maybe a port, as https://compute.example.com:8443", s.c.HostURI)
	}
	if s.c.Domain == "" {
		s.c.Domain = u.Hostname()
	}
	if !slices.Contains([]string{"gvisor", "runc", onCluster}, s.c.Engine) {
		return fmt.Errorf("--engine %q: want gvisor, runc or kubernetes", s.c.Engine)
	}
	if s.c.IngressURL != "" && strings.Count(s.c.IngressURL, "%s") != 1 {
		return fmt.Errorf("--ingress-url %q: write %%s once, where the name stands, as https://%%s", s.c.IngressURL)
	}
	if err := errors.Join(s.decideTLS(), s.decideProxies(), s.decideWebhooks()); err != nil {
		return err
	}
	s.c.Ports = [2]uint16{30000, 32767}
	machine, sells, err := s.measure(ctx, account)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		to      *int64
		sells   int64
		machine int64
	}{{"cpu", &s.c.CPU, sells.CPU, machine.CPU}, {"memory", &s.c.Memory, sells.Memory, machine.Memory}, {"storage", &s.c.Storage, sells.Storage[""], machine.Storage[""]}} {
		if *f.to == 0 {
			*f.to = f.sells
		}
		if *f.to < 0 || *f.to > f.machine {
			return fmt.Errorf("--%s: %d are more than the %d that this machine has", f.name, *f.to, f.machine)
		}
	}
	return errors.Join(s.readClasses(), s.readPrices(), s.readGPUs(ctx), s.readPool(), s.readAttributes())
}

func (s *seller) readClasses() error {
	for _, text := range s.classes {
		name, rest, _ := strings.Cut(text, "=")
		where, size, ok := strings.Cut(rest, ":")
		var bytes int64
		err := (&byteValue{&bytes}).Set(size)
		class := provider.Class{Dir: where, Size: bytes}
		if s.c.Engine == onCluster {
			class = provider.Class{StorageClass: where, Size: bytes}
		}
		switch {
		case !ok || err != nil || name == "" || where == "", s.c.Engine != onCluster && !filepath.IsAbs(where):
			return fmt.Errorf("--class %q: want a name, a folder and a size, as beta3=/mnt/nvme:500Gi; of a cluster beta3=STORAGECLASS:500Gi", text)
		}
		if s.c.Classes == nil {
			s.c.Classes = map[string]provider.Class{}
		}
		s.c.Classes[name] = class
	}
	return nil
}

func (s *seller) readPrices() error {
	s.c.Prices = price.DefaultScale()
	rates := map[string]*market.Exact{
		"cpu": &s.c.Prices.CPU, "memory": &s.c.Prices.Memory, "storage": &s.c.Prices.Storage, "endpoint": &s.c.Prices.Endpoint, "gpu": &s.c.Prices.GPU, "ip": &s.c.Prices.IP,
	}
	for _, text := range s.prices {
		name, amount, _ := strings.Cut(text, "=")
		to, ok := rates[name]
		if model, is := strings.CutPrefix(name, "gpu:"); is && model != "" {
			rate, err := market.ParseExact(amount)
			if err != nil {
				return fmt.Errorf("--price %q: %w", text, err)
			}
			if s.c.Prices.Models == nil {
				s.c.Prices.Models = map[string]market.Exact{}
			}
			s.c.Prices.Models[model] = rate
			continue
		}
		if !ok {
			return fmt.Errorf("--price %q: want cpu, memory, storage, endpoint, ip, gpu or gpu:MODEL, = and nplx per block", text)
		}
		if err := to.UnmarshalText([]byte(amount)); err != nil {
			return fmt.Errorf("--price %q: %w", text, err)
		}
	}
	return nil
}

// readAttributes adds to what the operator says what this machine can do.
func (s *seller) readAttributes() error {
	all := market.Attributes{{Key: "arch", Value: runtime.GOARCH}, {Key: "host", Value: "plexus"}}
	set := func(key, value string) {
		for i := range all {
			if all[i].Key == key {
				all[i].Value = value
				return
			}
		}
		all = append(all, market.Attribute{Key: key, Value: value})
	}
	for _, text := range s.attrs {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("--attribute %q: want a key, = and a value, as region=eu-west", text)
		}
		set(key, value)
	}
	number := 1
	storage := func(class, persistent string) {
		set(fmt.Sprintf("capabilities/storage/%d/class", number), class)
		set(fmt.Sprintf("capabilities/storage/%d/persistent", number), persistent)
		number++
	}
	storage("default", "true")
	storage("ram", "false")
	for _, class := range slices.Sorted(maps.Keys(s.c.Classes)) {
		storage(class, "true")
	}
	all = append(all, s.c.Capabilities()...)
	all.Sort()
	s.c.Attributes = all
	return all.Validate()
}

// register tells the chain of the provider, for the first time or again, and
// says which in a line.
func (s *seller) register(ctx context.Context, a ledger.Actor, pin []byte) (done string, err error) {
	l, err := s.dial(ledger.Options{})
	if err != nil {
		return "", err
	}
	defer shut(l)
	entry := marketv1.Provider{HostUri: s.c.HostURI, Attributes: wire.WriteAttributes(s.c.Attributes), TlsPin: pin}
	var deposit coin.Amount
	if s.deposit.amount != nil {
		deposit = *s.deposit.amount
	}
	_, err = l.Market().Provider(ctx, a.Account())
	if err == nil {
		return "It was on the market already; the chain has its new address, certificate and attributes.\n", l.Market().Describe(ctx, a, entry, deposit)
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		return "", err
	}
	params, err := l.Market().Params(ctx)
	if err != nil {
		return "", err
	}
	if entry.Deposit = params.ProviderDeposit; deposit > 0 {
		entry.Deposit = uint64(deposit)
	}
	return fmt.Sprintf("It is on the market now, with a deposit of %v.\n", coin.Amount(entry.Deposit)), l.Market().Enter(ctx, a, entry)
}

// byteValue is a flag of bytes, as "512Mi" or "6Gi".
type byteValue struct{ to *int64 }

// Set reads bytes.
func (v *byteValue) Set(text string) error {
	units := map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
	scale := int64(1)
	for unit, n := range units {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			text, scale = rest, n
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1<<60/scale {
		return errors.New("want a whole number of bytes with Ki, Mi, Gi or Ti, as 6Gi")
	}
	*v.to = n * scale
	return nil
}

// String formats the bytes.
func (v *byteValue) String() string {
	if v.to == nil || *v.to == 0 {
		return ""
	}
	return bytesize(uint64(*v.to))
}

// Type is what help says of the flag.
func (*byteValue) Type() string { return "bytes" }
