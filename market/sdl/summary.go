package sdl

import (
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
)

// Summary is a file's verdict and content in the fields that tools compare.
type Summary struct {
	File         string           `json:"file"`
	Valid        bool             `json:"valid"`
	Error        string           `json:"error,omitempty"`
	Warnings     []string         `json:"warnings,omitempty"`
	Manifest     string           `json:"manifest_sha256,omitempty"` // hexadecimal
	Services     int              `json:"services"`                  // counted once per group
	Groups       int              `json:"groups"`
	CPU          uint64           `json:"total_cpu_milli"` // the totals count every replica
	Memory       uint64           `json:"total_memory_bytes"`
	Storage      uint64           `json:"total_storage_bytes"`
	GPU          uint64           `json:"total_gpu_units"`
	Replicas     uint64           `json:"total_replicas"`
	Exposes      int              `json:"total_exposes"`
	GlobalExpose int              `json:"global_exposes"`
	GroupList    []GroupSummary   `json:"group_list,omitempty"`
	ServiceList  []ServiceSummary `json:"service_list,omitempty"`
}

// GroupSummary is one placement; amounts count every replica.
type GroupSummary struct {
	Name       string            `json:"name"`
	Attributes map[string]string `json:"attributes,omitempty"`
	AllOf      []string          `json:"signed_by_all_of,omitempty"`
	AnyOf      []string          `json:"signed_by_any_of,omitempty"`
	Units      int               `json:"resource_units"`
	Endpoints  map[string]int    `json:"endpoints"` // by kind
	Price      string            `json:"price_per_block"`
	CPU        uint64            `json:"cpu_milli"`
	Memory     uint64            `json:"memory_bytes"`
	Storage    uint64            `json:"storage_bytes"`
	GPU        uint64            `json:"gpu_units"`
}

// ServiceSummary is one service of a group; amounts are those of one replica.
type ServiceSummary struct {
	Name    string          `json:"name"`
	Group   string          `json:"group"`
	Image   string          `json:"image"`
	Count   uint32          `json:"count"`
	CPU     uint64          `json:"cpu_milli"`
	Memory  uint64          `json:"memory_bytes"`
	GPU     uint64          `json:"gpu_units"`
	GPUs    []string        `json:"gpu_attributes,omitempty"` // the keys
	Storage []VolumeSummary `json:"storage"`
	Expose  []ExposeSummary `json:"expose"`
	Mounts  []MountSummary  `json:"mounts,omitempty"`
	Env     int             `json:"env_count"`
}

// VolumeSummary is a volume of a service.
type VolumeSummary struct {
	Name       string            `json:"name"`
	Size       uint64            `json:"bytes"`
	Attributes map[string]string `json:"attributes"`
}

// ExposeSummary is a port of a service and one receiver.
type ExposeSummary struct {
	Port     uint32   `json:"port"`
	External uint32   `json:"external_port"`
	Proto    string   `json:"proto"`
	Global   bool     `json:"global"`
	Service  string   `json:"to_service"`
	Hosts    []string `json:"hosts"`
	IP       string   `json:"ip"`
	Ingress  bool     `json:"ingress"`
}

// MountSummary is where a service finds a volume.
type MountSummary struct {
	Name     string `json:"name"`
	Mount    string `json:"mount"`
	ReadOnly bool   `json:"read_only"`
}

// Summarize parses src and describes what came of it; file is only copied.
func Summarize(file string, src []byte) Summary {
	out := Summary{File: file}
	parsed, err := Parse(src)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Valid = true
	for _, w := range parsed.Warnings {
		out.Warnings = append(out.Warnings, w.String())
	}
	out.Manifest = parsed.Manifest.Hash().String()
	out.Groups = len(parsed.Groups)
	var totals market.Totals
	for i, spec := range parsed.Groups {
		totals = totals.Add(spec.Totals())
		out.GroupList = append(out.GroupList, summarizeGroup(spec))
		for _, s := range parsed.Manifest[i].Services {
			out.ServiceList = append(out.ServiceList, summarizeService(spec.Name, s))
			out.Exposes += len(s.Expose)
			for _, e := range s.Expose {
				if e.Global {
					out.GlobalExpose++
				}
			}
		}
	}
	out.Services = len(out.ServiceList)
	out.CPU, out.Memory, out.Storage = uint64(totals.CPU), uint64(totals.Memory), uint64(totals.Storage)
	out.GPU, out.Replicas = uint64(totals.GPU), totals.Replicas
	return out
}

func summarizeGroup(g market.GroupSpec) GroupSummary {
	t := g.Totals()
	out := GroupSummary{
		Name: g.Name, AllOf: g.Requirements.SignedBy.AllOf, AnyOf: g.Requirements.SignedBy.AnyOf,
		Attributes: table(g.Requirements.Attributes), Units: len(g.Units), Endpoints: map[string]int{},
		Price: g.Price().String(), CPU: uint64(t.CPU), Memory: uint64(t.Memory), Storage: uint64(t.Storage), GPU: uint64(t.GPU),
	}
	for _, u := range g.Units {
		for _, e := range u.Resources.Endpoints {
			out.Endpoints[e.Kind.String()]++
		}
	}
	return out
}

func summarizeService(group string, s manifest.Service) ServiceSummary {
	out := ServiceSummary{
		Name: s.Name, Group: group, Image: s.Image, Count: s.Count, Env: len(s.Env),
		CPU: uint64(s.Resources.CPU.Units), Memory: uint64(s.Resources.Memory.Size), GPU: uint64(s.Resources.GPU.Units),
	}
	for _, kind := range s.Resources.GPU.Attributes {
		out.GPUs = append(out.GPUs, kind.Key)
	}
	for _, v := range s.Resources.Storage {
		out.Storage = append(out.Storage, VolumeSummary{v.Name, uint64(v.Size), table(v.Attributes)})
	}
	for _, e := range s.Expose {
		out.Expose = append(out.Expose, ExposeSummary{
			Port: e.Port, External: e.External(), Proto: e.Proto, Global: e.Global, Service: e.Service,
			Hosts: e.Hosts, IP: e.IP, Ingress: e.Ingress(),
		})
	}
	if s.Params != nil {
		for _, m := range s.Params.Storage {
			out.Mounts = append(out.Mounts, MountSummary(m))
		}
	}
	return out
}

// table returns attributes as a map, never nil.
func table(attributes market.Attributes) map[string]string {
	out := make(map[string]string, len(attributes))
	for _, a := range attributes {
		out[a.Key] = a.Value
	}
	return out
}
