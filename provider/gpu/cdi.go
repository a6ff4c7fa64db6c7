package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// cdi is the part of a specification of the Container Device Interface that
// containers of ours need. Hooks are not run, but two of NVIDIA's are done by
// other means: links become mounts, and folders of libraries are named to the
// dynamic linker.
//
// Source: cncf-tags/container-device-interface, SPEC.md, version 1.0.0.
type cdi struct {
	Kind    string  `json:"kind"`
	Devices []named `json:"devices"`
	Edits   edits   `json:"containerEdits"`
}

type named struct {
	Name  string `json:"name"`
	Edits edits  `json:"containerEdits"`
}

type edits struct {
	Env   []string `json:"env"`
	Nodes []struct {
		Path string `json:"path"`
		Host string `json:"hostPath"`
	} `json:"deviceNodes"`
	Mounts []struct {
		Host      string `json:"hostPath"`
		Container string `json:"containerPath"`
	} `json:"mounts"`
	Hooks []struct {
		Args []string `json:"args"`
	} `json:"hooks"`
}

// maxCDI bounds a specification's file.
const maxCDI = 4 << 20

// specified returns what a CDI specification of NVIDIA's says of devices, and
// whether there is one.
func (k *Kit) specified(devices []sandbox.GPU) (Grant, bool, error) {
	for _, dir := range []string{"var/run/cdi", "etc/cdi"} {
		entries, err := os.ReadDir(filepath.Join(k.root(), dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Grant{}, false, err
		}
		for _, e := range entries {
			if !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(e.Name())) {
				continue
			}
			file := filepath.Join(k.root(), dir, e.Name())
			s, err := readCDI(file)
			if err != nil {
				return Grant{}, false, err
			}
			if s.Kind != "nvidia.com/gpu" {
				continue
			}
			g, err := s.grant(devices)
			if err != nil {
				err = fmt.Errorf("gpu: %s: %w; write it again with nvidia-ctk cdi generate, or delete it", file, err)
			}
			return g, true, err
		}
	}
	return Grant{}, false, nil
}

func readCDI(file string) (cdi, error) {
	info, err := os.Stat(file)
	if err != nil {
		return cdi{}, err
	}
	if info.Size() > maxCDI {
		return cdi{}, fmt.Errorf("gpu: %s has %d bytes, more than %d", file, info.Size(), maxCDI)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return cdi{}, err
	}
	var s cdi
	if err := yaml.Unmarshal(text, &s); err != nil {
		return cdi{}, fmt.Errorf("gpu: %s: %w", file, err)
	}
	return s, nil
}

func (s cdi) grant(devices []sandbox.GPU) (Grant, error) {
	g := Grant{Programs: []string{"/usr/bin"}}
	all := []edits{s.Edits}
	for _, d := range devices {
		i := slices.IndexFunc(s.Devices, func(c named) bool { return c.Name == strconv.Itoa(d.Number) })
		if i < 0 {
			return g, fmt.Errorf("it has no device %d", d.Number)
		}
		all = append(all, s.Devices[i].Edits)
	}
	for _, e := range all {
		if err := e.add(&g); err != nil {
			return g, err
		}
	}
	return g, nil
}

func (e edits) add(g *Grant) error {
	g.Env = append(g.Env, e.Env...)
	for _, n := range e.Nodes {
		if n.Host != "" && n.Host != n.Path {
			return fmt.Errorf("device node %s is %s in containers; only nodes that keep their path can be given", n.Host, n.Path)
		}
		if !strings.HasPrefix(path.Clean(n.Path), "/dev/nvidia") {
			continue // of displays, which compute nothing
		}
		one, err := node(n.Path)
		if err != nil {
			return err
		}
		if !slices.Contains(g.Nodes, one) {
			g.Nodes = append(g.Nodes, one)
		}
	}
	for _, m := range e.Mounts {
		if path.IsAbs(m.Host) && path.IsAbs(m.Container) {
			g.mount(Mount{m.Host, path.Clean(m.Container)})
		}
	}
	for _, h := range e.Hooks {
		h := arguments(h.Args)
		for _, link := range h["--link"] {
			g.link(link)
		}
		g.Libraries = append(g.Libraries, h["--folder"]...)
	}
	return nil
}

// arguments are the values of a command line's flags.
func arguments(args []string) map[string][]string {
	all := map[string][]string{}
	for i, a := range args {
		if name, value, ok := strings.Cut(a, "="); ok {
			all[name] = append(all[name], value)
		} else if strings.HasPrefix(a, "--") && i+1 < len(args) {
			all[a] = append(all[a], args[i+1])
		}
	}
	return all
}

// link adds the mount that stands for a link, written target::name.
func (g *Grant) link(text string) {
	target, name, ok := strings.Cut(text, "::")
	if !ok || !path.IsAbs(name) {
		return
	}
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(name), target)
	}
	for _, m := range g.Mounts {
		if m.Container == target {
			g.mount(Mount{m.Host, path.Clean(name)})
			return
		}
	}
}

func (g *Grant) mount(m Mount) {
	if !slices.ContainsFunc(g.Mounts, func(had Mount) bool { return had.Container == m.Container }) {
		g.Mounts = append(g.Mounts, m)
	}
}
