package market

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Quantity is an amount of a resource: thousandths of a core, bytes, or whole
// GPUs. In JSON it is {"val":"1000"}, with the number as text, so that no
// reader rounds it.
type Quantity uint64

// Resources is what one replica of a service gets. The JSON is that of Akash's
// manifests and group specs, byte for byte.
type Resources struct {
	ID        uint32     `json:"id"` // of the unit within its group, from 1
	CPU       CPU        `json:"cpu"`
	Memory    Memory     `json:"memory"`
	Storage   []Volume   `json:"storage,omitempty"`
	GPU       GPU        `json:"gpu"`
	Endpoints []Endpoint `json:"endpoints"`
}

// CPU is processor time.
type CPU struct {
	Units      Quantity   `json:"units"` // thousandths of a core
	Attributes Attributes `json:"attributes,omitempty"`
}

// Memory is main memory.
type Memory struct {
	Size Quantity `json:"size"` // bytes
}

// Volume is a part of storage by name. Without attributes it is the replica's
// ephemeral disk; the attribute "persistent" says whether it outlives restarts
// and "class" on what it lies, "ram" being a memory file system.
type Volume struct {
	Name       string     `json:"name"`
	Size       Quantity   `json:"size"` // bytes
	Attributes Attributes `json:"attributes,omitempty"`
}

// GPU is a number of graphics processors, each of any one kind in Attributes.
type GPU struct {
	Units      Quantity   `json:"units"`
	Attributes Attributes `json:"attributes,omitempty"`
}

// Endpoint is a way in from outside that a service needs.
type Endpoint struct {
	Kind     EndpointKind `json:"kind,omitempty"`
	Sequence uint32       `json:"sequence_number"` // which leased address; 0 for the other kinds
}

// EndpointKind tells what an [Endpoint] costs its provider.
type EndpointKind uint8

// A service is reached at a name on the provider's HTTP ingress, at some port
// of the provider, or at an address of its own.
const (
	SharedHTTP EndpointKind = iota
	RandomPort
	LeasedIP
)

// String returns Akash's name of the kind.
func (k EndpointKind) String() string {
	switch k {
	case SharedHTTP:
		return "SHARED_HTTP"
	case RandomPort:
		return "RANDOM_PORT"
	case LeasedIP:
		return "LEASED_IP"
	}
	return "endpoint kind " + strconv.Itoa(int(k))
}

// MarshalJSON writes {"val":"1000"}.
func (q Quantity) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"val":"%d"}`, uint64(q)), nil
}

// UnmarshalJSON reads what [Quantity.MarshalJSON] writes.
func (q *Quantity) UnmarshalJSON(data []byte) error {
	var v struct{ Val string }
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	n, err := strconv.ParseUint(v.Val, 10, 64)
	if err != nil {
		return fmt.Errorf("market: quantity %q is no whole number of 64 bits", v.Val)
	}
	*q = Quantity(n)
	return nil
}

// SortEndpoints puts endpoints into Akash's order, by sequence number alone;
// those of one number stay as they were.
func SortEndpoints(endpoints []Endpoint) {
	slices.SortFunc(endpoints, func(a, b Endpoint) int { return cmp.Compare(a.Sequence, b.Sequence) })
}

// Equal tells whether r and other promise a replica the same, whatever their
// ids and endpoints.
func (r Resources) Equal(other Resources) bool {
	return r.CPU.Units == other.CPU.Units && slices.Equal(r.CPU.Attributes, other.CPU.Attributes) &&
		r.Memory == other.Memory &&
		r.GPU.Units == other.GPU.Units && slices.Equal(r.GPU.Attributes, other.GPU.Attributes) &&
		slices.EqualFunc(r.Storage, other.Storage, func(a, b Volume) bool {
			return a.Name == b.Name && a.Size == b.Size && slices.Equal(a.Attributes, b.Attributes)
		})
}

// within is a range of quantities, both ends included.
type within struct{ least, most Quantity }

// What one replica may ask for.
//
// Source: akash-network/chain-sdk, deployment/v1beta4/validation_config.go.
var (
	unitCPU    = within{10, 384_000}
	unitMemory = within{1 << 20, 2 << 40}
	unitVolume = within{5 << 20, 32 << 40}
	unitGPU    = within{0, 24}
)

func (w within) check(what, unit string, q Quantity) error {
	if q < w.least || q > w.most {
		return fmt.Errorf("%s of %d %s is outside of %d to %d", what, q, unit, w.least, w.most)
	}
	return nil
}

// Validate tells what one replica asks for that is too little, too much or
// malformed. It returns the first fault that it finds.
func (r Resources) Validate() error {
	if r.ID == 0 {
		return fmt.Errorf("resources have the id 0; ids count from 1")
	}
	if err := unitCPU.check("cpu", "thousandths of a core", r.CPU.Units); err != nil {
		return err
	}
	if err := unitMemory.check("memory", "bytes", r.Memory.Size); err != nil {
		return err
	}
	if err := unitGPU.check("gpu", "units", r.GPU.Units); err != nil {
		return err
	}
	if r.GPU.Units == 0 && len(r.GPU.Attributes) > 0 {
		return fmt.Errorf("gpu has attributes but 0 units")
	}
	for _, attributes := range []Attributes{r.CPU.Attributes, r.GPU.Attributes} {
		if err := attributes.Validate(); err != nil {
			return err
		}
	}
	return r.validateStorage()
}

func (r Resources) validateStorage() error {
	if len(r.Storage) == 0 {
		return fmt.Errorf("storage is missing")
	}
	for _, v := range r.Storage {
		if err := unitVolume.check("storage "+strconv.Quote(v.Name), "bytes", v.Size); err != nil {
			return err
		}
		if err := v.Attributes.Validate(); err != nil {
			return fmt.Errorf("storage %q: %w", v.Name, err)
		}
	}
	return nil
}
