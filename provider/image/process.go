package image

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// Process returns what to run of i when a manifest asks for command, args and
// env. As in Kubernetes, a command replaces the image's entry point and its
// default arguments, args alone replace those arguments, and variables of the
// manifest win. Names of users are looked up in the image, if its files are
// here; if not, the user is left to whoever has them.
func (i Image) Process(command, args, env []string) (sandbox.Process, error) {
	p := sandbox.Process{Dir: i.Config.WorkingDir, Env: merge(i.Config.Env, env)}
	switch {
	case len(command) > 0:
		p.Args = append(p.Args, append(command, args...)...)
	case len(args) > 0:
		p.Args = append(append(p.Args, i.Config.Entrypoint...), args...)
	default:
		p.Args = append(append(p.Args, i.Config.Entrypoint...), i.Config.Cmd...)
	}
	if len(p.Args) == 0 {
		return p, fmt.Errorf("%w: the image has no entry point, and the manifest names no command", ErrInvalid)
	}
	if p.Dir != "" && !path.IsAbs(p.Dir) {
		p.Dir = "/" + p.Dir
	}
	if i.Root == "" {
		p.User = i.Config.User
		return p, nil
	}
	return p, i.user(&p)
}

func merge(base, over []string) []string {
	all := append(append([]string{}, base...), over...)
	last := map[string]int{}
	for n, v := range all {
		key, _, _ := strings.Cut(v, "=")
		last[key] = n
	}
	var kept []string
	for n, v := range all {
		if key, _, _ := strings.Cut(v, "="); last[key] == n {
			kept = append(kept, v)
		}
	}
	return kept
}

// user sets p's ids from the image's USER: a name or number, with or without a
// group.
func (i Image) user(p *sandbox.Process) error {
	user, group, hasGroup := strings.Cut(i.Config.User, ":")
	if user == "" {
		user = "0"
	}
	name := user
	uid, err := id(user)
	entry, found := i.entry("etc/passwd", func(f []string) bool {
		return len(f) >= 4 && (f[0] == user || err == nil && f[2] == strconv.FormatUint(uint64(uid), 10))
	})
	if found {
		name = entry[0]
		uid, err = id(entry[2])
		if gid, e := id(entry[3]); e == nil {
			p.GID = gid
		}
	}
	if err != nil {
		return fmt.Errorf("%w: the image's user %q is not in its /etc/passwd", ErrInvalid, user)
	}
	p.UID = uid
	if !hasGroup {
		p.Groups = i.groups(name)
		return nil
	}
	gid, err := id(group)
	if entry, found := i.entry("etc/group", func(f []string) bool { return len(f) >= 3 && f[0] == group }); found {
		gid, err = id(entry[2])
	}
	if err != nil {
		return fmt.Errorf("%w: the image's group %q is not in its /etc/group", ErrInvalid, group)
	}
	p.GID = gid
	return nil
}

func id(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return uint32(n), err
}

// groups are those that list a user.
func (i Image) groups(user string) []uint32 {
	var all []uint32
	i.entry("etc/group", func(f []string) bool {
		if len(f) < 4 {
			return false
		}
		for member := range strings.SplitSeq(f[3], ",") {
			if gid, err := id(f[2]); err == nil && member == user && len(all) < 64 {
				all = append(all, gid)
			}
		}
		return false
	})
	return all
}

// entry returns the first line of an account file that is wanted. A link that
// leads out of the image is not followed.
func (i Image) entry(file string, wanted func([]string) bool) ([]string, bool) {
	root, err := os.OpenRoot(i.Root)
	if err != nil {
		return nil, false
	}
	defer func() { _ = root.Close() }() // only read
	info, err := root.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	f, err := root.Open(file)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(io.LimitReader(f, 1<<20)); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); wanted(fields) {
			return fields, true
		}
	}
	return nil, false
}
